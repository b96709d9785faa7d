using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>Portable 128-bit vectors.</summary>
internal readonly unsafe struct PortableQuantizer : IQuantizerTier
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Largest(float* x, int count)
    {
        // Magnitudes are never negative as integers, and signed integers are what every instruction set compares.
        Vector128<int> a = Vector128<int>.Zero, b = a;
        for (int i = 0; i < count; i += 8)
        {
            a = Vector128.Max(a, Vector128.Abs(Vector128.Load(x + i)).AsInt32());
            b = Vector128.Max(b, Vector128.Abs(Vector128.Load(x + i + 4)).AsInt32());
        }

        a = Vector128.Max(a, b);
        return (uint)Math.Max(Math.Max(a.ToScalar(), a.GetElement(1)), Math.Max(a.GetElement(2), a.GetElement(3)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Round(float* x, int count, float factor, sbyte* codes)
    {
        Vector128<float> factors = Vector128.Create(factor);
        for (int i = 0; i < count; i += 16)
        {
            Vector128<short> low = Vector128.Narrow(Round(x + i, factors), Round(x + i + 4, factors));
            Vector128<short> high = Vector128.Narrow(Round(x + i + 8, factors), Round(x + i + 12, factors));
            Vector128.Narrow(low, high).Store(codes + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sum16(sbyte* codes, short* sums)
    {
        for (int i = 0; i < 16; i++)
        {
            (Vector128<short> low, Vector128<short> high) = Vector128.Widen(Vector128.Load(codes + (16 * i)));
            sums[i] = Vector128.Sum(low + high);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static short Sum32(sbyte* codes)
    {
        (Vector128<short> a, Vector128<short> b) = Vector128.Widen(Vector128.Load(codes));
        (Vector128<short> c, Vector128<short> d) = Vector128.Widen(Vector128.Load(codes + 16));
        return Vector128.Sum(a + b + c + d);
    }

    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits, ties to even.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Round(float* x, Vector128<float> factors) =>
        ((Vector128.Load(x) * factors) + Vector128.Create(12582912f)).AsInt32() - Vector128.Create(0x4B400000);
}
