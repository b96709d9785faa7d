using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// q5_K. Columns 0 to 3 are d, dmin and the packed scales, columns 4 to 11 the fifth bits (bit j belongs to sub-block j); column
/// 12 + 8 g + t has low bits of sub-block 2 g in low nibbles and of sub-block 2 g + 1 in high ones.
/// </summary>
internal readonly unsafe struct PanelQ5_K : IPanelFormat, IPanelShape, IPackedCodes
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q5_K;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512Tile<PanelQ5_K, ExpandedCodes<PanelQ5_K>>.FactorBytes;

    public static ActivationRecord Record => new() { MinPairs = 4 };

    public static int ColumnTiles => 1;

    public static int ColumnFactorBytes => FactorBytes;

    public static ActivationRecord ColumnRecord => Record;

    public static int Steps => 4;

    public static int ChainsPerScale => 2;

    public static int Scales => 8;

    public static int MinPairs => 4;

    public static bool MinsAreOffsets => false;

    public static bool IsBiased => false;

    public static int LowBits => 4;

    public static int HighBits => 1;

    public static int HighPlace => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowColumn(int subBlock) => 12 + (subBlock / 2 * 8);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowBit(int subBlock) => subBlock % 2 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighColumn(int subBlock) => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighBit(int subBlock) => subBlock;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns) => Avx512Columns.Interleave(blocks, stride, 11, columns);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        Vector512<byte> low = Vector512.Create((byte)15), fifth = Vector512.Create((byte)16);
        for (int t = 0; t < 8; t++)
        {
            // The fifth bit of the group's first sub-block comes to bit 4, that of its second to bit 5.
            byte* code = codes + (t * Vector);
            byte* column = columns + ((12 + t) * Vector);
            Vector512<ushort> bits = Vector512.Load((ushort*)(columns + ((4 + t) * Vector)));
            for (int group = 0; group < 4; group++, code += 16 * Vector, column += 8 * Vector)
            {
                Vector512<ushort> high = group switch { 0 => bits << 4, 1 => bits << 2, 2 => bits, _ => bits >>> 2 };
                Vector512<byte> packed = Vector512.Load(column);
                ((packed & low) | (high.AsByte() & fifth)).Store(code);
                (((packed.AsUInt16() >>> 4).AsByte() & low) | ((high >>> 1).AsByte() & fifth)).Store(code + (8 * Vector));
            }
        }

        ExpandFactors(columns, blocks, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors) => Avx512Scales.StoreScales12(columns, factors);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512Tile<PanelQ5_K, ExpandedCodes<PanelQ5_K>>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512Tile<PanelQ5_K, PackedCodes<PanelQ5_K>>.Multiply(task);
}
