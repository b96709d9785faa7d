using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// q6_K. Column 16 h + t has the low bits of planes 0 and 2 of half h, column 16 h + 8 + t of planes 1 and 3; column 32 + 8 h + t has two high
/// bits of each plane; four columns of scales follow, and sixteen d. Codes of panels are signed.
/// </summary>
internal readonly unsafe struct PanelQ6_K : IPanelFormat, IPanelShape
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q6_K;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512Tile<PanelQ6_K, ExpandedCodes<PanelQ6_K>>.FactorBytes;

    public static ActivationRecord Record => new() { IsBiased = true };

    public static int ColumnTiles => 1;

    public static int ColumnFactorBytes => Avx512Tile<Columns, PackedCodes<Columns>>.FactorBytes;

    public static ActivationRecord ColumnRecord => new() { MinPairs = 8 };

    public static int Steps => 2;

    public static int ChainsPerScale => 2;

    public static int Scales => 16;

    public static int MinPairs => 0;

    public static bool MinsAreOffsets => false;

    public static bool IsBiased => true;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        Avx512Columns.Interleave(blocks, stride, 13, columns);
        Avx512Columns.LoadLastHalves(blocks + 194, stride).Store((ushort*)(columns + (52 * Vector)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        for (int i = 0; i < 4; i++)
        {
            Avx512Scales.StoreTwiceSigned(Vector512.Load((uint*)(columns + ((48 + i) * Vector))), factors + (4 * i * Vector));
        }

        Vector512<byte> four = Vector512.Create((byte)15), two = Vector512.Create((byte)48), bias = Vector512.Create((byte)32);
        Vector512<int> total = Vector512<int>.Zero;
        for (int run = 0; run < 4; run++)
        {
            // Sixteen consecutive weights of every plane of half a unit: four columns.
            int half = run / 2, start = 4 * (run % 2);
            byte* code = codes + (((32 * half) + start) * Vector);
            byte* column = columns + (((16 * half) + start) * Vector);
            Vector512<byte> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (int t = 0; t < 4; t++, code += Vector, column += Vector)
            {
                Vector512<ushort> low02 = Vector512.Load((ushort*)column), low13 = Vector512.Load((ushort*)(column + (8 * Vector)));
                Vector512<ushort> high = Vector512.Load((ushort*)(columns + ((32 + (4 * run) + t) * Vector)));
                Vector512<byte> code0 = (low02.AsByte() & four) | ((high << 4).AsByte() & two);
                Vector512<byte> code1 = (low13.AsByte() & four) | ((high << 2).AsByte() & two);
                Vector512<byte> code2 = ((low02 >>> 4).AsByte() & four) | (high.AsByte() & two);
                Vector512<byte> code3 = ((low13 >>> 4).AsByte() & four) | ((high >>> 2).AsByte() & two);
                (code0 - bias).Store(code);
                (code1 - bias).Store(code + (8 * Vector));
                (code2 - bias).Store(code + (16 * Vector));
                (code3 - bias).Store(code + (24 * Vector));
                sum0 += code0;
                sum1 += code1;
                sum2 += code2;
                sum3 += code3;
            }

            byte* scale = factors + (((8 * half) + (run % 2)) * Vector);
            total += Avx512Scales.Weigh(sum0, 32, scale) + Avx512Scales.Weigh(sum1, 32, scale + (2 * Vector))
                + Avx512Scales.Weigh(sum2, 32, scale + (4 * Vector)) + Avx512Scales.Weigh(sum3, 32, scale + (6 * Vector));
        }

        Avx512Scales.StoreHalves(columns + (52 * Vector), factors + (16 * Vector));
        (-(total << 7)).Store((int*)(factors + (18 * Vector)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        for (int i = 0; i < 4; i++)
        {
            Avx512Scales.StoreTwiceSigned(Vector512.Load((uint*)(columns + ((48 + i) * Vector))), factors + (4 * i * Vector));
        }

        for (int i = 0; i < 4; i++)
        {
            Avx512Scales.StorePairsSigned(Vector512.Load((uint*)(columns + ((48 + i) * Vector))), 5, factors + ((16 + (2 * i)) * Vector));
        }

        Avx512Scales.StoreHalves(columns + (52 * Vector), factors + (24 * Vector));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512Tile<PanelQ6_K, ExpandedCodes<PanelQ6_K>>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512Tile<Columns, PackedCodes<Columns>>.Multiply(task);

    /// <summary>Codes in columns are unsigned, and 32 too large.</summary>
    private readonly struct Columns : IPanelShape, IPackedCodes
    {
        public static int Steps => 2;

        public static int ChainsPerScale => 2;

        public static int Scales => 16;

        public static int MinPairs => 8;

        public static bool MinsAreOffsets => true;

        public static bool IsBiased => false;

        public static int LowBits => 4;

        public static int HighBits => 2;

        public static int HighPlace => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int LowColumn(int subBlock) => (subBlock / 8 * 16) + (subBlock / 2 % 2 * 8) + (subBlock % 2 * 4);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int LowBit(int subBlock) => subBlock % 8 / 4 * 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int HighColumn(int subBlock) => 32 + (subBlock / 8 * 8) + (subBlock % 2 * 4);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int HighBit(int subBlock) => subBlock % 8 / 2 * 2;
    }
}
