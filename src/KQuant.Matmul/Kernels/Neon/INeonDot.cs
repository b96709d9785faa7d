using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// What the two NEON tiers do differently: multiply signed bytes and add up the products, exactly. Everything else is the same code.
/// </summary>
internal interface INeonDot
{
    /// <summary>The tier.</summary>
    static abstract KernelTier Tier { get; }

    /// <summary>
    /// Up to how many activation rows the row kernels execute fewer instructions than the panel kernels, for most codecs.
    /// </summary>
    static abstract int PreferredRows { get; }

    /// <summary>
    /// Adds to four lanes the products of sixteen codes, times a scale. The products of codes and activations go to any lanes; two of them
    /// must fit in 16 bits.
    /// </summary>
    static abstract Vector128<int> AddScaled(
        Vector128<int> sum, Vector128<sbyte> codes, Vector128<sbyte> x, Vector128<short> scales, int scale);

    /// <summary>The same with 32 codes; four products must fit in 16 bits.</summary>
    static abstract Vector128<int> AddScaled(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> x0, Vector128<sbyte> x1, Vector128<short> scales,
        int scale);

    /// <summary>The products of 32 codes in any lanes.</summary>
    /// <param name="c0">The first sixteen.</param>
    /// <param name="c1">The others.</param>
    /// <param name="x0">Activations of the first.</param>
    /// <param name="x1">Those of the others.</param>
    /// <param name="maxCode">The largest magnitude of a code.</param>
    static abstract Vector128<int> Dot(Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> x0, Vector128<sbyte> x1, int maxCode);

    /// <summary>Arranges sixteen codes of four weight rows as <see cref="AddRows"/> wants them.</summary>
    static abstract void Interleave(ref Vector128<sbyte> c0, ref Vector128<sbyte> c1, ref Vector128<sbyte> c2, ref Vector128<sbyte> c3);

    /// <summary>Adds to lane r the products of sixteen codes of row r.</summary>
    /// <param name="sum">What is added to.</param>
    /// <param name="c0">Arranged codes.</param>
    /// <param name="c1">More of them.</param>
    /// <param name="c2">More of them.</param>
    /// <param name="c3">The last.</param>
    /// <param name="x">Sixteen activations.</param>
    /// <param name="maxCode">The largest magnitude of a code.</param>
    static abstract Vector128<int> AddRows(
        Vector128<int> sum, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, Vector128<sbyte> x,
        int maxCode);
}
