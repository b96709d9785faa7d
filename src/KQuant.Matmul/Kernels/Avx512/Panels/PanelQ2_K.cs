using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// q2_K. Columns 0 to 3 are scales and minima, column 20 is d and dmin; column 4 + 8 h + t has codes of the four planes of half h,
/// two bits each.
/// </summary>
internal readonly unsafe struct PanelQ2_K : IPanelFormat, IPanelShape, IPackedCodes
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q2_K;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512Tile<PanelQ2_K, ExpandedCodes<PanelQ2_K>>.FactorBytes;

    public static ActivationRecord Record => new() { MinPairs = 8 };

    public static int ColumnTiles => 3;

    public static int ColumnFactorBytes => FactorBytes;

    public static ActivationRecord ColumnRecord => Record;

    public static int Steps => 4;

    public static int ChainsPerScale => 1;

    public static int Scales => 16;

    public static int MinPairs => 8;

    public static bool MinsAreOffsets => false;

    public static bool IsBiased => false;

    public static int LowBits => 2;

    public static int HighBits => 0;

    public static int HighPlace => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowColumn(int subBlock) => 4 + (subBlock / 8 * 8) + (subBlock % 2 * 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowBit(int subBlock) => subBlock % 8 / 2 * 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighColumn(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighBit(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        Avx512Columns.Interleave(blocks, stride, 5, columns);
        Avx512Columns.Load(blocks + 68, stride, out _, out _, out _, out Vector512<uint> factors);
        factors.Store((uint*)(columns + (20 * Vector)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        Vector512<byte> two = Vector512.Create((byte)3);
        byte* column = columns + (4 * Vector);
        for (int half = 0; half < 2; half++, codes += 24 * Vector)
        {
            for (int t = 0; t < 8; t++, codes += Vector, column += Vector)
            {
                Vector512<ushort> packed = Vector512.Load((ushort*)column);
                (packed.AsByte() & two).Store(codes);
                ((packed >>> 2).AsByte() & two).Store(codes + (8 * Vector));
                ((packed >>> 4).AsByte() & two).Store(codes + (16 * Vector));
                ((packed >>> 6).AsByte() & two).Store(codes + (24 * Vector));
            }
        }

        ExpandFactors(columns, blocks, factors);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        Vector512<byte> four = Vector512.Create((byte)15);
        byte* mins = factors + (16 * Vector);
        for (int i = 0; i < 4; i++)
        {
            Vector512<ushort> packed = Vector512.Load((ushort*)(columns + (i * Vector)));
            Avx512Scales.StoreTwice((packed.AsByte() & four).AsUInt32(), factors + (4 * i * Vector));
            Avx512Scales.StorePairs(((packed >>> 4).AsByte() & four).AsUInt32(), mins + (2 * i * Vector));
        }

        Avx512Scales.StorePair(columns + (20 * Vector), mins + (8 * Vector));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512Tile<PanelQ2_K, ExpandedCodes<PanelQ2_K>>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512Tile<PanelQ2_K, PackedCodes<PanelQ2_K>>.Multiply(task);
}
