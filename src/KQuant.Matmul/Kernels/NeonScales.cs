using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels;

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
    public static Vector128<float> First(Vector128<uint> pairs) => Binary16.ToSingle(pairs);

    /// <summary>The second.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Second(Vector128<uint> pairs) => Binary16.ToSingle(AdvSimd.ShiftRightLogical(pairs, 16));

    /// <summary>The scale of a block in lane 0 and, if there are minima, theirs in lane 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Of<TCodes>(byte* block)
        where TCodes : struct, INeonKCodes
    {
        byte* numbers = block + TCodes.ScaleOffset;
        return Binary16.ToSingle(TCodes.HasMin
            ? AdvSimd.ZeroExtendWideningLower(Vector64.CreateScalarUnsafe(*(uint*)numbers).AsUInt16())
            : Vector128.CreateScalarUnsafe((uint)*(ushort*)numbers));
    }
}
