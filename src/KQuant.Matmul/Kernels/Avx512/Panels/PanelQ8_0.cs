using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>q8_0: eight columns of codes, 128 added to each, and sixteen d. The columns are as good as a panel.</summary>
internal readonly unsafe struct PanelQ8_0 : IPanelFormat
{
    private const int Vector = Avx512Columns.Bytes, ColumnBytes = 16 * 34;

    public static QuantFormat Format => QuantFormat.Q8_0;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier) && AvxVnni.IsSupported;

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 0;

    public static int FactorBytes => Avx512VnniTile.FactorBytes;

    public static ActivationRecord Record => new() { IsFlat = true, Term = BlockTerm.Offset, Offset = 128 };

    public static int ColumnTiles => int.MaxValue;

    public static int ColumnFactorBytes => FactorBytes;

    public static ActivationRecord ColumnRecord => Record;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        Vector512<uint> sign = Vector512.Create(0x80808080);
        for (int b = 0; b < count; b++, blocks += 34, columns += ColumnBytes)
        {
            for (int half = 0; half < 2; half++)
            {
                Avx512Columns.Load(
                    blocks + 2 + (16 * half), stride,
                    out Vector512<uint> c0, out Vector512<uint> c1, out Vector512<uint> c2, out Vector512<uint> c3);
                uint* column = (uint*)(columns + (4 * half * Vector));
                (c0 ^ sign).Store(column);
                (c1 ^ sign).Store(column + 16);
                (c2 ^ sign).Store(column + 32);
                (c3 ^ sign).Store(column + 48);
            }

            Avx512Columns.LoadHalves(blocks, stride).Store((ushort*)(columns + (8 * Vector)));
        }
    }

    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors) => ExpandFactors(columns, blocks, factors);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        for (int b = 0; b < blocks; b++, columns += ColumnBytes, factors += Vector)
        {
            Avx512Scales.StoreHalves(columns + (8 * Vector), factors);
        }
    }

    public static void Multiply(in TileTask task) => MultiplyColumns(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512VnniTile.Multiply(task, ColumnBytes);
}
