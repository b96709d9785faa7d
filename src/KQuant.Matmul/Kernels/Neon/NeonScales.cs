using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>Scales and minima of several blocks, a block in every lane.</summary>
internal static unsafe class NeonScales
{
    /// <summary>Reads two binary16 numbers of each of up to four blocks; lanes without a block are zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> Read(byte* first, nint stride, int count)
    {
        Vector128<uint> pairs = Vector128.CreateScalar(*(uint*)first);
        if (count > 1) pairs = AdvSimd.LoadAndInsertScalar(pairs, 1, (uint*)(first + stride));
        if (count > 2) pairs = AdvSimd.LoadAndInsertScalar(pairs, 2, (uint*)(first + (2 * stride)));
        if (count > 3) pairs = AdvSimd.LoadAndInsertScalar(pairs, 3, (uint*)(first + (3 * stride)));
        return pairs;
    }

    /// <summary>Reads two binary16 numbers of each of four blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<uint> Read(byte* r0, byte* r1, byte* r2, byte* r3)
    {
        Vector128<uint> pairs = Vector128.CreateScalar(*(uint*)r0);
        pairs = AdvSimd.LoadAndInsertScalar(pairs, 1, (uint*)r1);
        pairs = AdvSimd.LoadAndInsertScalar(pairs, 2, (uint*)r2);
        return AdvSimd.LoadAndInsertScalar(pairs, 3, (uint*)r3);
    }

    /// <summary>The first number of every pair.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> First(Vector128<uint> pairs) => ToSingle(AdvSimd.ShiftLeftLogical(pairs, 16));

    /// <summary>The second.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Second(Vector128<uint> pairs) => ToSingle(pairs);

    /// <summary>The scale of a block in lane 0 and, if there are minima, theirs in lane 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Of<TCodes>(byte* block)
        where TCodes : struct, INeonKCodes
    {
        byte* numbers = block + TCodes.ScaleOffset;
        return ToSingle(TCodes.HasMin
            ? AdvSimd.Arm64.ZipLow(Vector128<ushort>.Zero, Vector128.CreateScalarUnsafe(*(uint*)numbers).AsUInt16()).AsUInt32()
            : Vector128.CreateScalarUnsafe((uint)*(ushort*)numbers << 16));
    }

    /// <summary>
    /// Widens the binary16 numbers in the upper halves of lanes, exactly; the lower halves may hold anything. Sign, exponent and mantissa
    /// move to where binary32 has them, and a multiplication makes up for the difference of the exponents' biases, also for subnormals.
    /// Infinities and NaNs come out of it as numbers from 2^16 on, which no other number is, and need the largest exponent.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> ToSingle(Vector128<uint> halves)
    {
        Vector128<uint> fields = AdvSimd.ShiftRightArithmetic(halves.AsInt32(), 3).AsUInt32() & Vector128.Create(0x8FFF_E000);
        Vector128<float> numbers = fields.AsSingle() * Vector128.Create(5.192296858534828e33f);
        Vector128<float> special = AdvSimd.AbsoluteCompareGreaterThanOrEqual(numbers, Vector128.Create(65536f));
        return (numbers.AsUInt32() | (special.AsUInt32() & Vector128.Create(0x7F80_0000u))).AsSingle();
    }
}
