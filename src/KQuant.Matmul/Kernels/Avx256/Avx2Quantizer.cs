using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>AVX2.</summary>
internal readonly unsafe struct Avx2Quantizer : IQuantizerTier
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Largest(float* x, int count)
    {
        Vector256<int> magnitude = Vector256.Create(int.MaxValue), a = Vector256<int>.Zero, b = a;
        for (int i = 0; i < count; i += 16)
        {
            a = Avx2.Max(a, Vector256.Load((int*)x + i) & magnitude);
            b = Avx2.Max(b, Vector256.Load((int*)x + i + 8) & magnitude);
        }

        a = Avx2.Max(a, b);
        Vector128<int> max = Sse41.Max(a.GetLower(), a.GetUpper());
        max = Sse41.Max(max, Sse2.Shuffle(max, 0b01_00_11_10));
        return (uint)Sse41.Max(max, Sse2.Shuffle(max, 0b10_11_00_01)).ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Round(float* x, int count, float factor, sbyte* codes)
    {
        // Packing works within 128 bits; the permutation puts the groups of four back in order.
        Vector256<float> factors = Vector256.Create(factor);
        Vector256<int> order = Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7);
        for (int i = 0; i < count; i += 32)
        {
            Vector256<short> low = Avx2.PackSignedSaturate(Round(x + i, factors), Round(x + i + 8, factors));
            Vector256<short> high = Avx2.PackSignedSaturate(Round(x + i + 16, factors), Round(x + i + 24, factors));
            Avx2.PermuteVar8x32(Avx2.PackSignedSaturate(low, high).AsInt32(), order).Store((int*)(codes + i));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sum16(sbyte* codes, short* sums)
    {
        for (int i = 0; i < 16; i += 2)
        {
            Vector256<long> eights = Eights(codes + (16 * i));
            Vector128<long> first = eights.GetLower(), second = eights.GetUpper();
            sums[i] = (short)(first.ToScalar() + first.GetElement(1) - (16 * 128));
            sums[i + 1] = (short)(second.ToScalar() + second.GetElement(1) - (16 * 128));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static short Sum32(sbyte* codes)
    {
        Vector256<long> eights = Eights(codes);
        Vector128<long> pairs = eights.GetLower() + eights.GetUpper();
        return (short)(pairs.ToScalar() + pairs.GetElement(1) - (32 * 128));
    }

    // Sums of eight codes, 128 added to each so that they are unsigned.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Eights(sbyte* codes) => Avx2.SumAbsoluteDifferences(
        Vector256.Load((byte*)codes) ^ Vector256.Create((byte)0x80), Vector256<byte>.Zero).AsInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Round(float* x, Vector256<float> factors) => Avx.ConvertToVector256Int32(Vector256.Load(x) * factors);
}
