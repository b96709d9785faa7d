using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>NEON: it rounds to nearest even in one instruction and adds up all lanes in another.</summary>
internal readonly unsafe struct NeonQuantizer : IQuantizerTier
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Largest(float* x, int count)
    {
        Vector128<uint> magnitude = Vector128.Create((uint)int.MaxValue), a = Vector128<uint>.Zero, b = a;
        for (int i = 0; i < count; i += 8)
        {
            a = AdvSimd.Max(a, AdvSimd.LoadVector128((uint*)x + i) & magnitude);
            b = AdvSimd.Max(b, AdvSimd.LoadVector128((uint*)x + i + 4) & magnitude);
        }

        return AdvSimd.Arm64.MaxAcross(AdvSimd.Max(a, b)).ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Round(float* x, int count, float factor, sbyte* codes)
    {
        Vector64<float> factors = Vector64.CreateScalarUnsafe(factor);
        for (int i = 0; i < count; i += 16)
        {
            Vector64<short> a = AdvSimd.ExtractNarrowingLower(Round(x + i, factors));
            Vector64<short> b = AdvSimd.ExtractNarrowingLower(Round(x + i + 8, factors));
            Vector128<short> low = AdvSimd.ExtractNarrowingUpper(a, Round(x + i + 4, factors));
            Vector128<short> high = AdvSimd.ExtractNarrowingUpper(b, Round(x + i + 12, factors));
            AdvSimd.ExtractNarrowingUpper(AdvSimd.ExtractNarrowingLower(low), high).Store(codes + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sum16(sbyte* codes, short* sums)
    {
        // Pairwise, until eight rows of sixteen have become eight sums.
        for (int i = 0; i < 16; i += 8, codes += 128)
        {
            Vector128<short> a = AdvSimd.Arm64.AddPairwise(Pairs(codes), Pairs(codes + 16));
            Vector128<short> b = AdvSimd.Arm64.AddPairwise(Pairs(codes + 32), Pairs(codes + 48));
            Vector128<short> c = AdvSimd.Arm64.AddPairwise(Pairs(codes + 64), Pairs(codes + 80));
            Vector128<short> d = AdvSimd.Arm64.AddPairwise(Pairs(codes + 96), Pairs(codes + 112));
            AdvSimd.Arm64.AddPairwise(AdvSimd.Arm64.AddPairwise(a, b), AdvSimd.Arm64.AddPairwise(c, d)).Store(sums + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static short Sum32(sbyte* codes) =>
        AdvSimd.Arm64.AddAcross(AdvSimd.AddPairwiseWideningAndAdd(Pairs(codes), AdvSimd.LoadVector128(codes + 16))).ToScalar();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Round(float* x, Vector64<float> factor) =>
        AdvSimd.ConvertToInt32RoundToEven(AdvSimd.MultiplyByScalar(AdvSimd.LoadVector128(x), factor));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<short> Pairs(sbyte* codes) => AdvSimd.AddPairwiseWidening(AdvSimd.LoadVector128(codes));
}
