using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>q5_1: four columns of low bits, low nibbles before high ones, one of fifth bits, and one of d and m.</summary>
internal readonly unsafe struct PanelQ5_1 : IPanelFormat, IFlatPanelShape, IPackedFlatCodes
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q5_1;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 4;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512FlatTile<PanelQ5_1, ExpandedFlatCodes>.FactorBytes;

    public static ActivationRecord Record => new() { IsFlat = true, Term = BlockTerm.ScaledSum };

    public static int ColumnTiles => 1;

    public static int ColumnFactorBytes => FactorBytes;

    public static ActivationRecord ColumnRecord => Record;

    public static int Steps => 4;

    public static bool HasMin => true;

    public static int ColumnBytes => 16 * 24;

    public static bool HasFifthBits => true;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        for (int b = 0; b < count; b++, blocks += 24, columns += ColumnBytes)
        {
            Avx512Columns.Interleave(blocks + 8, stride, 1, columns);
            Avx512Columns.Load(blocks, stride, out Vector512<uint> factors, out Vector512<uint> fifth, out _, out _);
            fifth.Store((uint*)(columns + (4 * Vector)));
            factors.Store((uint*)(columns + (5 * Vector)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        Vector512<byte> low = Vector512.Create((byte)15), fifth = Vector512.Create((byte)16);
        byte* column = columns;
        for (int b = 0; b < blocks; b++, column += ColumnBytes - (4 * Vector), codes += 4 * Vector)
        {
            // Word t has bits 4 t to 4 t + 3 of the block's fifth bits at bit 4 of its bytes.
            Vector512<ulong> bits = Vector512.Load((ulong*)(column + (4 * Vector)));
            Vector512<byte> place = Vector512.Create(0x1F1E1D1C_3F3E3D3Cu).AsByte();
            for (int t = 0; t < 4; t++, column += Vector, codes += Vector, place += Vector512.Create((byte)4))
            {
                Vector512<byte> packed = Vector512.Load(column);
                Vector512<byte> first = Avx512Vbmi.MultiShift(place, bits);
                Vector512<byte> second = Avx512Vbmi.MultiShift(place + Vector512.Create((byte)16), bits);
                ((packed & low) | (first & fifth)).Store(codes);
                (((packed.AsUInt16() >>> 4).AsByte() & low) | (second & fifth)).Store(codes + (4 * Vector));
            }
        }

        ExpandFactors(columns, blocks, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        for (int b = 0; b < blocks; b++, columns += ColumnBytes, factors += 2 * Vector)
        {
            Avx512Scales.StorePair(columns + (5 * Vector), factors);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512FlatTile<PanelQ5_1, ExpandedFlatCodes>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512FlatTile<PanelQ5_1, PackedFlatCodes<PanelQ5_1>>.Multiply(task);
}
