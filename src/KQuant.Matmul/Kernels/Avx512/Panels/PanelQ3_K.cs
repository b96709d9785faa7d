using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>
/// q3_K. Columns 0 to 7 are third bits (bit 4 h + p belongs to plane p of half h), column 8 + 8 h + t has the low bits of the four planes of
/// half h; three columns of packed scales follow, and sixteen d. Codes of panels are signed.
/// </summary>
internal readonly unsafe struct PanelQ3_K : IPanelFormat, IPanelShape
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q3_K;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int CodeBytes => 64 * Vector;

    public static int FactorBytes => Avx512Tile<PanelQ3_K, ExpandedCodes<PanelQ3_K>>.FactorBytes;

    public static ActivationRecord Record => new() { IsBiased = true };

    public static int ColumnTiles => 1;

    public static int ColumnFactorBytes => Avx512Tile<Columns, PackedCodes<Columns>>.FactorBytes;

    public static ActivationRecord ColumnRecord => new() { MinPairs = 8 };

    public static int Steps => 4;

    public static int ChainsPerScale => 1;

    public static int Scales => 16;

    public static int MinPairs => 0;

    public static bool MinsAreOffsets => false;

    public static bool IsBiased => true;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        Avx512Columns.Interleave(blocks, stride, 6, columns);
        Avx512Columns.Load(blocks + 92, stride, out _, out Vector512<uint> a, out Vector512<uint> b, out Vector512<uint> c);
        a.Store((uint*)(columns + (24 * Vector)));
        b.Store((uint*)(columns + (25 * Vector)));
        c.Store((uint*)(columns + (26 * Vector)));
        Avx512Columns.LoadLastHalves(blocks + 94, stride).Store((ushort*)(columns + (27 * Vector)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* codes, byte* factors)
    {
        Scales16 scales = UnpackScales(columns + (24 * Vector));
        Avx512Scales.StoreTwiceSigned(scales.A, factors);
        Avx512Scales.StoreTwiceSigned(scales.B, factors + (4 * Vector));
        Avx512Scales.StoreTwiceSigned(scales.C, factors + (8 * Vector));
        Avx512Scales.StoreTwiceSigned(scales.D, factors + (12 * Vector));

        Vector512<byte> two = Vector512.Create((byte)3), third = Vector512.Create((byte)4);
        Vector512<int> total = Vector512<int>.Zero;
        for (int run = 0; run < 4; run++)
        {
            // Sixteen consecutive weights of every plane of half a unit: four columns.
            int half = run / 2;
            byte* code = codes + (((32 * half) + (4 * (run % 2))) * Vector);
            Vector512<byte> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (int t = 0; t < 4; t++, code += Vector)
            {
                Vector512<ushort> low = Vector512.Load((ushort*)(columns + ((8 + (4 * run) + t) * Vector)));
                Vector512<ushort> high = Vector512.Load((ushort*)(columns + (((4 * (run % 2)) + t) * Vector))) >>> (4 * half);
                Vector512<byte> code0 = (low.AsByte() & two) | ((high << 2).AsByte() & third);
                Vector512<byte> code1 = ((low >>> 2).AsByte() & two) | ((high << 1).AsByte() & third);
                Vector512<byte> code2 = ((low >>> 4).AsByte() & two) | (high.AsByte() & third);
                Vector512<byte> code3 = ((low >>> 6).AsByte() & two) | ((high >>> 1).AsByte() & third);
                (code0 - third).Store(code);
                (code1 - third).Store(code + (8 * Vector));
                (code2 - third).Store(code + (16 * Vector));
                (code3 - third).Store(code + (24 * Vector));
                sum0 += code0;
                sum1 += code1;
                sum2 += code2;
                sum3 += code3;
            }

            byte* scale = factors + (((8 * half) + (run % 2)) * Vector);
            total += Avx512Scales.Weigh(sum0, 4, scale) + Avx512Scales.Weigh(sum1, 4, scale + (2 * Vector))
                + Avx512Scales.Weigh(sum2, 4, scale + (4 * Vector)) + Avx512Scales.Weigh(sum3, 4, scale + (6 * Vector));
        }

        Avx512Scales.StoreHalves(columns + (27 * Vector), factors + (16 * Vector));
        (-(total << 7)).Store((int*)(factors + (18 * Vector)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ExpandFactors(byte* columns, int blocks, byte* factors)
    {
        Scales16 scales = UnpackScales(columns + (24 * Vector));
        Avx512Scales.StoreTwiceSigned(scales.A, factors);
        Avx512Scales.StoreTwiceSigned(scales.B, factors + (4 * Vector));
        Avx512Scales.StoreTwiceSigned(scales.C, factors + (8 * Vector));
        Avx512Scales.StoreTwiceSigned(scales.D, factors + (12 * Vector));

        Avx512Scales.StorePairsSigned(scales.A, 2, factors + (16 * Vector));
        Avx512Scales.StorePairsSigned(scales.B, 2, factors + (18 * Vector));
        Avx512Scales.StorePairsSigned(scales.C, 2, factors + (20 * Vector));
        Avx512Scales.StorePairsSigned(scales.D, 2, factors + (22 * Vector));
        Avx512Scales.StoreHalves(columns + (27 * Vector), factors + (24 * Vector));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(in TileTask task) => Avx512Tile<PanelQ3_K, ExpandedCodes<PanelQ3_K>>.Multiply(task);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void MultiplyColumns(in TileTask task) => Avx512Tile<Columns, PackedCodes<Columns>>.Multiply(task);

    /// <summary>Sixteen signed scales of every row, four to a 32-bit lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Scales16 UnpackScales(byte* packed)
    {
        Vector512<byte> four = Vector512.Create((byte)15), two = Vector512.Create((byte)48), bias = Vector512.Create((byte)32);
        Vector512<ushort> a = Vector512.Load((ushort*)packed), b = Vector512.Load((ushort*)(packed + Vector));
        Vector512<ushort> high = Vector512.Load((ushort*)(packed + (2 * Vector)));
        return new Scales16
        {
            A = (((a.AsByte() & four) | ((high << 4).AsByte() & two)) - bias).AsUInt32(),
            B = (((b.AsByte() & four) | ((high << 2).AsByte() & two)) - bias).AsUInt32(),
            C = ((((a >>> 4).AsByte() & four) | (high.AsByte() & two)) - bias).AsUInt32(),
            D = ((((b >>> 4).AsByte() & four) | ((high >>> 2).AsByte() & two)) - bias).AsUInt32(),
        };
    }

    private ref struct Scales16
    {
        public Vector512<uint> A;
        public Vector512<uint> B;
        public Vector512<uint> C;
        public Vector512<uint> D;
    }

    /// <summary>Codes in columns are unsigned, and 4 too large.</summary>
    private readonly struct Columns : IPanelShape, IPackedCodes
    {
        public static int Steps => 4;

        public static int ChainsPerScale => 1;

        public static int Scales => 16;

        public static int MinPairs => 8;

        public static bool MinsAreOffsets => true;

        public static bool IsBiased => false;

        public static int LowBits => 2;

        public static int HighBits => 1;

        public static int HighPlace => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int LowColumn(int subBlock) => 8 + (subBlock / 8 * 8) + (subBlock % 2 * 4);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int LowBit(int subBlock) => subBlock % 8 / 2 * 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int HighColumn(int subBlock) => subBlock % 2 * 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int HighBit(int subBlock) => subBlock / 2;
    }
}
