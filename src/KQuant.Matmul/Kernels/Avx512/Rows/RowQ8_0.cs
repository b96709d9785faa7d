using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Avx512;

internal readonly unsafe struct RowQ8_0 : IAvx512FlatRowFormat
{
    /// <summary>Bytes by which four blocks exceed two vectors: where the two begin that have the last codes of all.</summary>
    private const int Excess = 8;

    public static QuantFormat Format => QuantFormat.Q8_0;

    public static bool IsSupported => KernelTiers.IsSupported(KernelTier.Avx512) && AvxVnni.IsSupported;

    public static int BlockBytes => 34;

    public static bool HasMin => false;

    public static int Offset => 128;

    public static bool StartsAtOffset => true;

    public static Vector512<byte> Order => Avx512FlatRowTools.Order(BlockBytes, 2);

    public static Vector512<byte> HighOrder => Avx512FlatRowTools.Order(BlockBytes, 18 - Excess);

    public static Vector512<byte> FactorOrder => Avx512FlatRowTools.WordOrder(BlockBytes, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> GatherFactors(byte* blocks, Vector512<byte> order) =>
        Avx512Vbmi.PermuteVar64x8x2(Vector512.Load(blocks), order, Vector512.Load(blocks + 64)).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourBlocks Unpack(byte* blocks, Vector512<byte> order, Vector512<byte> highOrder)
    {
        Vector512<byte> sign = Vector512.Create((byte)0x80);
        Vector512<byte> low = Avx512Vbmi.PermuteVar64x8x2(Vector512.Load(blocks), order, Vector512.Load(blocks + 64));
        Vector512<byte> high = Avx512Vbmi.PermuteVar64x8x2(Vector512.Load(blocks + Excess), highOrder, Vector512.Load(blocks + Excess + 64));
        return new FourBlocks(low ^ sign, high ^ sign);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> y, in FourBlocks codes, byte* x, Vector512<float> scales, Vector512<short> ones)
    {
        Vector256<int> first = AvxVnni.MultiplyWideningAndAdd(Vector256.Load((int*)(x + 128)), codes.Low.GetLower(), Vector256.Load((sbyte*)x));
        Vector256<int> second = AvxVnni.MultiplyWideningAndAdd(Vector256.Load((int*)(x + 160)), codes.Low.GetUpper(), Vector256.Load((sbyte*)x + 32));
        first = AvxVnni.MultiplyWideningAndAdd(first, codes.High.GetLower(), Vector256.Load((sbyte*)x + 64));
        second = AvxVnni.MultiplyWideningAndAdd(second, codes.High.GetUpper(), Vector256.Load((sbyte*)x + 96));
        Vector512<float> dot = Vector512.ConvertToSingle(Avx512F.InsertVector256(first.ToVector512Unsafe(), second, 1));
        return Avx512F.FusedMultiplyAdd(dot, scales, y);
    }
}
