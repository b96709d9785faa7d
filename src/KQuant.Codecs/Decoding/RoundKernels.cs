using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// Every way to round floats to bfloat16, all with the result of the cast to <see cref="BFloat16"/>: to nearest, ties to even, and a NaN
/// keeps its sign and upper bits and becomes quiet.
/// </summary>
internal static unsafe class RoundKernels
{
    /// <summary>Half of the last place that stays, less one; the last bit itself makes it round up from a tie.</summary>
    private const uint AlmostHalf = 0x7FFF;

    private const uint QuietBit = 0x40;

    public static IReadOnlyList<RoundKernel> All { get; } =
    [
        new(KernelTier.Scalar, &RoundScalar),
        new(KernelTier.Portable, &RoundPortable),
        new(KernelTier.Avx2, &RoundAvx2),
        new(KernelTier.Avx512, &RoundAvx512),
    ];

    /// <summary>The kernel of this process.</summary>
    public static RoundKernel Default => field ??= Best(KernelTiers.Max);

    /// <summary>The best kernel that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static RoundKernel Best(KernelTier maxTier) =>
        All.Where(kernel => KernelTiers.Allows(maxTier, kernel.Tier) && kernel.IsSupported).MaxBy(kernel => kernel.Tier)!;

    private static void RoundScalar(float* source, ushort* destination, nint count)
    {
        for (nint i = 0; i < count; i++)
        {
            destination[i] = ((BFloat16)source[i]).Bits;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RoundPortable(float* source, ushort* destination, nint count)
    {
        nint i = 0;
        for (; i <= count - 8; i += 8)
        {
            Vector128.Narrow(Round(Vector128.Load(source + i)), Round(Vector128.Load(source + i + 4))).Store(destination + i);
        }

        RoundScalar(source + i, destination + i, count - i);

        static Vector128<uint> Round(Vector128<float> value)
        {
            Vector128<uint> bits = value.AsUInt32();
            Vector128<uint> upper = bits >>> 16;
            Vector128<uint> rounded = (bits + Vector128.Create(AlmostHalf) + (upper & Vector128<uint>.One)) >>> 16;
            return Vector128.ConditionalSelect(Vector128.IsNaN(value).AsUInt32(), upper | Vector128.Create(QuietBit), rounded);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RoundAvx2(float* source, ushort* destination, nint count)
    {
        nint i = 0;
        for (; i <= count - 16; i += 16)
        {
            Vector256.Narrow(Round(Vector256.Load(source + i)), Round(Vector256.Load(source + i + 8))).Store(destination + i);
        }

        RoundScalar(source + i, destination + i, count - i);

        static Vector256<uint> Round(Vector256<float> value)
        {
            Vector256<uint> bits = value.AsUInt32();
            Vector256<uint> upper = bits >>> 16;
            Vector256<uint> rounded = (bits + Vector256.Create(AlmostHalf) + (upper & Vector256<uint>.One)) >>> 16;
            return Vector256.ConditionalSelect(Vector256.IsNaN(value).AsUInt32(), upper | Vector256.Create(QuietBit), rounded);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RoundAvx512(float* source, ushort* destination, nint count)
    {
        nint i = 0;
        for (; i <= count - 16; i += 16)
        {
            Avx512F.ConvertToVector256UInt16(Round(Vector512.Load(source + i))).Store(destination + i);
        }

        RoundScalar(source + i, destination + i, count - i);

        static Vector512<uint> Round(Vector512<float> value)
        {
            Vector512<uint> bits = value.AsUInt32();
            Vector512<uint> upper = bits >>> 16;
            Vector512<uint> rounded = (bits + Vector512.Create(AlmostHalf) + (upper & Vector512<uint>.One)) >>> 16;
            return Vector512.ConditionalSelect(Vector512.IsNaN(value).AsUInt32(), upper | Vector512.Create(QuietBit), rounded);
        }
    }
}
