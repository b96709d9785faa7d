using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using KQuant.Codecs;

#pragma warning disable CA1857 // Operands that must be constants are, once methods are inlined.

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// <c>smull</c> and <c>smlal</c>: products and their sums have 16 bits, as long as they fit, and are then added up in pairs or multiplied
/// by a scale, either of which widens them.
/// </summary>
internal readonly struct NeonWideningProduct : INeonDot
{
    public static KernelTier Tier => KernelTier.Neon;

    public static int PreferredRows => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> AddScaled(
        Vector128<int> sum, Vector128<sbyte> codes, Vector128<sbyte> x, Vector128<short> scales, int scale) =>
        AddScaled(sum, Multiply(codes, x), scales, scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> AddScaled(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> x0, Vector128<sbyte> x1, Vector128<short> scales,
        int scale) =>
        AddScaled(sum, MultiplyAdd(Multiply(c0, x0), c1, x1), scales, scale);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Dot(Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> x0, Vector128<sbyte> x1, int maxCode) =>
        4 * 127 * maxCode <= short.MaxValue
            ? AdvSimd.AddPairwiseWidening(MultiplyAdd(Multiply(c0, x0), c1, x1))
            : AdvSimd.AddPairwiseWideningAndAdd(AdvSimd.AddPairwiseWidening(Multiply(c0, x0)), Multiply(c1, x1));

    // Rows stay as they are.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Interleave(ref Vector128<sbyte> c0, ref Vector128<sbyte> c1, ref Vector128<sbyte> c2, ref Vector128<sbyte> c3)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> AddRows(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, Vector128<sbyte> x,
        int maxCode)
    {
        Vector128<short> p0 = Multiply(c0, x), p1 = Multiply(c1, x), p2 = Multiply(c2, x), p3 = Multiply(c3, x);
        if (8 * 127 * maxCode <= short.MaxValue)
        {
            // Pairs of row r meet in lanes 2 r and 2 r + 1.
            Vector128<short> eights = AdvSimd.Arm64.AddPairwise(AdvSimd.Arm64.AddPairwise(p0, p1), AdvSimd.Arm64.AddPairwise(p2, p3));
            return AdvSimd.AddPairwiseWideningAndAdd(sum, eights);
        }

        Vector128<int> rows01 = AdvSimd.Arm64.AddPairwise(AdvSimd.AddPairwiseWidening(p0), AdvSimd.AddPairwiseWidening(p1));
        Vector128<int> rows23 = AdvSimd.Arm64.AddPairwise(AdvSimd.AddPairwiseWidening(p2), AdvSimd.AddPairwiseWidening(p3));
        return sum + AdvSimd.Arm64.AddPairwise(rows01, rows23);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<short> Multiply(Vector128<sbyte> codes, Vector128<sbyte> x) =>
        AdvSimd.MultiplyWideningUpperAndAdd(AdvSimd.MultiplyWideningLower(codes.GetLower(), x.GetLower()), codes, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<short> MultiplyAdd(Vector128<short> sum, Vector128<sbyte> codes, Vector128<sbyte> x) =>
        AdvSimd.MultiplyWideningUpperAndAdd(AdvSimd.MultiplyWideningLowerAndAdd(sum, codes.GetLower(), x.GetLower()), codes, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> AddScaled(Vector128<int> sum, Vector128<short> dot, Vector128<short> scales, int scale)
    {
        sum = AdvSimd.MultiplyBySelectedScalarWideningLowerAndAdd(sum, dot.GetLower(), scales, (byte)scale);
        return AdvSimd.MultiplyBySelectedScalarWideningUpperAndAdd(sum, dot, scales, (byte)scale);
    }
}
