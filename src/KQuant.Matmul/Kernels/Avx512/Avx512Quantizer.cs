using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels.Avx256;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>AVX-512.</summary>
internal readonly unsafe struct Avx512Quantizer : IQuantizerTier
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Largest(float* x, int count)
    {
        Vector512<int> magnitude = Vector512.Create(int.MaxValue), a = Vector512<int>.Zero, b = a;
        for (int i = 0; i < count; i += 32)
        {
            a = Avx512F.Max(a, Vector512.Load((int*)x + i) & magnitude);
            b = Avx512F.Max(b, Vector512.Load((int*)x + i + 16) & magnitude);
        }

        a = Avx512F.Max(a, b);
        Vector256<int> half = Avx2.Max(a.GetLower(), a.GetUpper());
        Vector128<int> max = Sse41.Max(half.GetLower(), half.GetUpper());
        max = Sse41.Max(max, Sse2.Shuffle(max, 0b01_00_11_10));
        return (uint)Sse41.Max(max, Sse2.Shuffle(max, 0b10_11_00_01)).ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Round(float* x, int count, float factor, sbyte* codes)
    {
        Vector512<float> factors = Vector512.Create(factor);
        for (int i = 0; i < count; i += 32)
        {
            // Stored as wide as the sums read it back.
            Vector128<sbyte> low = Avx512F.ConvertToVector128SByte(Avx512F.ConvertToVector512Int32(Vector512.Load(x + i) * factors));
            Vector128<sbyte> high = Avx512F.ConvertToVector128SByte(Avx512F.ConvertToVector512Int32(Vector512.Load(x + i + 16) * factors));
            low.ToVector256Unsafe().WithUpper(high).Store(codes + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sum16(sbyte* codes, short* sums)
    {
        // Neighbouring sums of eight are added where the first of them is, in the even lanes.
        Vector512<long> even = Vector512.Create(0L, 2, 4, 6, 8, 10, 12, 14);
        for (int i = 0; i < 16; i += 8)
        {
            Vector512<byte> a = Eights(codes + (16 * i)), b = Eights(codes + (16 * i) + 64);
            Vector512<long> sixteensA = (a.AsInt16() + Avx512BW.ShiftRightLogical128BitLane(a, 8).AsInt16()).AsInt64();
            Vector512<long> sixteensB = (b.AsInt16() + Avx512BW.ShiftRightLogical128BitLane(b, 8).AsInt16()).AsInt64();
            Vector512<long> all = Avx512F.PermuteVar8x64x2(sixteensA, even, sixteensB) - Vector512.Create(16L * 128);
            Avx512F.ConvertToVector128Int16(all).Store(sums + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static short Sum32(sbyte* codes) => Avx2Quantizer.Sum32(codes);

    // Sums of eight codes, 128 added to each so that they are unsigned.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Eights(sbyte* codes)
    {
        Vector512<uint> both = Avx512F.InsertVector256(Vector256.Load((uint*)codes).ToVector512Unsafe(), Vector256.Load((uint*)(codes + 32)), 1);
        return Avx512BW.SumAbsoluteDifferences(both.AsByte() ^ Vector512.Create((byte)0x80), Vector512<byte>.Zero).AsByte();
    }
}
