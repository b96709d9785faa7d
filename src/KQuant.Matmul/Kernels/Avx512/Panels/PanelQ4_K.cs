using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// q4_K. Columns 0 to 3 are d, dmin and the packed scales; column 4 + 8 g + t has four codes of sub-block 2 g in low nibbles and of
/// sub-block 2 g + 1 in high ones.
/// </summary>
internal readonly unsafe struct PanelQ4_K : IPanelFormat, IPanelShape, IPackedCodes
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q4_K;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512Tile<PanelQ4_K, ExpandedCodes<PanelQ4_K>>.FactorBytes;

    public static ActivationRecord Record => new() { MinPairs = 4 };

    public static int ColumnTiles => 3;

    public static int ColumnFactorBytes => FactorBytes;

    public static ActivationRecord ColumnRecord => Record;

    public static int Steps => 8;

    public static int ChainsPerScale => 1;

    public static int Scales => 8;

    public static int MinPairs => 4;

    public static bool MinsAreOffsets => false;

    public static bool IsBiased => false;

    public static int LowBits => 4;

    public static int HighBits => 0;

    public static int HighPlace => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowColumn(int subBlock) => 4 + (subBlock / 2 * 8);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowBit(int subBlock) => subBlock % 2 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighColumn(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighBit(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns) => Avx512Columns.Interleave(blocks, stride, 9, columns);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        Vector512<byte> low = Vector512.Create((byte)15);
        byte* column = columns + (4 * Vector);
        for (int group = 0; group < 4; group++, codes += 8 * Vector)
        {
            for (int t = 0; t < 8; t++, codes += Vector, column += Vector)
            {
                Vector512<byte> packed = Vector512.Load(column);
                (packed & low).Store(codes);
                ((packed.AsUInt16() >>> 4).AsByte() & low).Store(codes + (8 * Vector));
            }
        }

        ExpandFactors(columns, blocks, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors) => Avx512Scales.StoreScales12(columns, factors);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512Tile<PanelQ4_K, ExpandedCodes<PanelQ4_K>>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512Tile<PanelQ4_K, PackedCodes<PanelQ4_K>>.Multiply(task);
}
