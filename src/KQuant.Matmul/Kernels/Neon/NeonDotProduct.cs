using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;

#pragma warning disable CA1857 // Operands that must be constants are, once methods are inlined.

namespace KQuant.Matmul.Kernels.Neon;

/// <summary><c>sdot</c>: four products of four bytes each are added to a 32-bit lane.</summary>
internal readonly struct NeonDotProduct : INeonDot
{
    public static KernelTier Tier => KernelTier.NeonDot;

    public static int PreferredRows => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> AddScaled(
        Vector128<int> sum, Vector128<sbyte> codes, Vector128<sbyte> x, Vector128<short> scales, int scale) =>
        AddScaled(sum, Dp.DotProduct(Vector128<int>.Zero, codes, x), scales, scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> AddScaled(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> x0, Vector128<sbyte> x1, Vector128<short> scales,
        int scale) =>
        AddScaled(sum, Dp.DotProduct(Dp.DotProduct(Vector128<int>.Zero, c0, x0), c1, x1), scales, scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> x0, Vector128<sbyte> x1, int maxCode) =>
        Dp.DotProduct(Dp.DotProduct(Vector128<int>.Zero, c0, x0), c1, x1);

    // A 4 x 4 transposition: four codes of each row in every vector.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Interleave(ref Vector128<sbyte> c0, ref Vector128<sbyte> c1, ref Vector128<sbyte> c2, ref Vector128<sbyte> c3)
    {
        Vector128<int> even01 = AdvSimd.Arm64.TransposeEven(c0.AsInt32(), c1.AsInt32());
        Vector128<int> odd01 = AdvSimd.Arm64.TransposeOdd(c0.AsInt32(), c1.AsInt32());
        Vector128<int> even23 = AdvSimd.Arm64.TransposeEven(c2.AsInt32(), c3.AsInt32());
        Vector128<int> odd23 = AdvSimd.Arm64.TransposeOdd(c2.AsInt32(), c3.AsInt32());
        c0 = AdvSimd.Arm64.TransposeEven(even01.AsInt64(), even23.AsInt64()).AsSByte();
        c1 = AdvSimd.Arm64.TransposeEven(odd01.AsInt64(), odd23.AsInt64()).AsSByte();
        c2 = AdvSimd.Arm64.TransposeOdd(even01.AsInt64(), even23.AsInt64()).AsSByte();
        c3 = AdvSimd.Arm64.TransposeOdd(odd01.AsInt64(), odd23.AsInt64()).AsSByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> AddRows(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, Vector128<sbyte> x,
        int maxCode)
    {
        sum = Dp.DotProductBySelectedQuadruplet(sum, c0, x, 0);
        sum = Dp.DotProductBySelectedQuadruplet(sum, c1, x, 1);
        sum = Dp.DotProductBySelectedQuadruplet(sum, c2, x, 2);
        return Dp.DotProductBySelectedQuadruplet(sum, c3, x, 3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> AddScaled(Vector128<int> sum, Vector128<int> dot, Vector128<short> scales, int scale) => scale < 4
        ? AdvSimd.MultiplyAddBySelectedScalar(sum, dot, AdvSimd.SignExtendWideningLower(scales.GetLower()), (byte)scale)
        : AdvSimd.MultiplyAddBySelectedScalar(sum, dot, AdvSimd.SignExtendWideningUpper(scales), (byte)(scale - 4));
}
