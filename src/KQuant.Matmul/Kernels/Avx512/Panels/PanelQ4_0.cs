using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>q4_0: four columns of codes, low nibbles before high ones, and sixteen d.</summary>
internal readonly unsafe struct PanelQ4_0 : IPanelFormat, IFlatPanelShape, IPackedFlatCodes
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q4_0;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512FlatTile<PanelQ4_0, ExpandedFlatCodes>.FactorBytes;

    public static ActivationRecord Record => new() { IsFlat = true, Term = BlockTerm.Offset, Offset = 8 };

    public static int ColumnTiles => 3;

    public static int ColumnFactorBytes => FactorBytes;

    public static ActivationRecord ColumnRecord => Record;

    public static int Steps => 8;

    public static bool HasMin => false;

    public static int ColumnBytes => 16 * 18;

    public static bool HasFifthBits => false;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        for (int b = 0; b < count; b++, blocks += 18, columns += ColumnBytes)
        {
            Avx512Columns.Interleave(blocks + 2, stride, 1, columns);
            Avx512Columns.LoadHalves(blocks, stride).Store((ushort*)(columns + (4 * Vector)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        Vector512<byte> low = Vector512.Create((byte)15);
        byte* column = columns;
        for (int b = 0; b < blocks; b++, column += ColumnBytes - (4 * Vector), codes += 4 * Vector)
        {
            for (int t = 0; t < 4; t++, column += Vector, codes += Vector)
            {
                Vector512<byte> packed = Vector512.Load(column);
                (packed & low).Store(codes);
                ((packed.AsUInt16() >>> 4).AsByte() & low).Store(codes + (4 * Vector));
            }
        }

        ExpandFactors(columns, blocks, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        for (int b = 0; b < blocks; b++, columns += ColumnBytes, factors += Vector)
        {
            Avx512Scales.StoreHalves(columns + (4 * Vector), factors);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512FlatTile<PanelQ4_0, ExpandedFlatCodes>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512FlatTile<PanelQ4_0, PackedFlatCodes<PanelQ4_0>>.Multiply(task);
}
