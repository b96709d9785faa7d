using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Panels.Avx512;

/// <summary>
/// q3_K panels, codes signed. Columns 0 to 7 are third bits (bit 4 h + p belongs to plane p of half h), column 8 + 8 h + t has the low bits of
/// the four planes of half h; three columns of packed scales follow, and sixteen d.
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

    public static int PanelBytes => Avx512Tile<PanelQ3_K>.PanelBytes;

    public static ActivationRecord Record => new() { IsBiased = true };

    public static int Steps => 4;

    public static int ChainsPerScale => 1;

    public static int Scales => 16;

    public static int MinPairs => 0;

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
    public static void Expand(byte* columns, int blocks, byte* panel)
    {
        byte* scales = panel + (64 * Vector);
        StoreScales(columns + (24 * Vector), scales);
        Vector512<byte> two = Vector512.Create((byte)3), third = Vector512.Create((byte)4);
        Vector512<int> total = Vector512<int>.Zero;
        for (int run = 0; run < 4; run++)
        {
            // Sixteen consecutive weights of every plane of half a unit: four columns.
            int half = run / 2;
            byte* codes = panel + (((32 * half) + (4 * (run % 2))) * Vector);
            Vector512<byte> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (int t = 0; t < 4; t++, codes += Vector)
            {
                Vector512<ushort> low = Vector512.Load((ushort*)(columns + ((8 + (4 * run) + t) * Vector)));
                Vector512<ushort> high = Vector512.Load((ushort*)(columns + (((4 * (run % 2)) + t) * Vector))) >>> (4 * half);
                Vector512<byte> code0 = (low.AsByte() & two) | ((high << 2).AsByte() & third);
                Vector512<byte> code1 = ((low >>> 2).AsByte() & two) | ((high << 1).AsByte() & third);
                Vector512<byte> code2 = ((low >>> 4).AsByte() & two) | (high.AsByte() & third);
                Vector512<byte> code3 = ((low >>> 6).AsByte() & two) | ((high >>> 1).AsByte() & third);
                (code0 - third).Store(codes);
                (code1 - third).Store(codes + (8 * Vector));
                (code2 - third).Store(codes + (16 * Vector));
                (code3 - third).Store(codes + (24 * Vector));
                sum0 += code0;
                sum1 += code1;
                sum2 += code2;
                sum3 += code3;
            }

            byte* scale = scales + (((8 * half) + (run % 2)) * Vector);
            total += Avx512Scales.Weigh(sum0, 4, scale) + Avx512Scales.Weigh(sum1, 4, scale + (2 * Vector))
                + Avx512Scales.Weigh(sum2, 4, scale + (4 * Vector)) + Avx512Scales.Weigh(sum3, 4, scale + (6 * Vector));
        }

        byte* factors = scales + (16 * Vector);
        Avx512Scales.StoreHalves(columns + (27 * Vector), factors);
        (-(total << 7)).Store((int*)(factors + (2 * Vector)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(byte* panels, byte* x, int units, float** outputs, nint first, int rows) =>
        Avx512Tile<PanelQ3_K>.Multiply(panels, x, units, outputs, first, rows);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreScales(byte* packed, byte* scales)
    {
        Vector512<byte> four = Vector512.Create((byte)15), two = Vector512.Create((byte)48);
        Vector512<ushort> a = Vector512.Load((ushort*)packed), b = Vector512.Load((ushort*)(packed + Vector));
        Vector512<ushort> high = Vector512.Load((ushort*)(packed + (2 * Vector)));
        Store((a.AsByte() & four) | ((high << 4).AsByte() & two), scales);
        Store((b.AsByte() & four) | ((high << 2).AsByte() & two), scales + (4 * Vector));
        Store(((a >>> 4).AsByte() & four) | (high.AsByte() & two), scales + (8 * Vector));
        Store(((b >>> 4).AsByte() & four) | ((high >>> 2).AsByte() & two), scales + (12 * Vector));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<byte> biased, byte* scales)
    {
        Vector512<short> bias = Vector512.Create((short)32);
        (Avx512Scales.Twice(biased.AsUInt32(), 0) - bias).Store((short*)scales);
        (Avx512Scales.Twice(biased.AsUInt32(), 1) - bias).Store((short*)(scales + Vector));
        (Avx512Scales.Twice(biased.AsUInt32(), 2) - bias).Store((short*)(scales + (2 * Vector)));
        (Avx512Scales.Twice(biased.AsUInt32(), 3) - bias).Store((short*)(scales + (3 * Vector)));
    }
}
