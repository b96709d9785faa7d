namespace KQuant.Matmul.Vectors;

/// <summary>
/// A softmax over many slots in parts of <see cref="Length"/>, each with the exponentials of its own largest score, merged from the first to
/// the last. Parts begin at multiples of their length, so that a row's bits depend neither on who computes which part nor on the rows beside
/// it. The shader <c>attend</c> does the same.
/// </summary>
internal static class SoftmaxParts
{
    /// <summary>Slots of a part.</summary>
    public const int Length = 512;

    /// <summary>Where the part that a slot belongs to ends.</summary>
    public static int GetEnd(int slot, int end) => (int)Math.Min(end, ((slot / Length) + 1L) * Length);

    /// <summary>How many parts some slots have.</summary>
    public static int Count(int start, int end) => start < end ? ((end - 1) / Length) - (start / Length) + 1 : 0;

    /// <summary>Adds a part to those before it.</summary>
    /// <param name="largest">The largest score before; then that of all.</param>
    /// <param name="sum">The sum of exponentials before; then that of all.</param>
    /// <param name="values">The weighted sums of values before; then those of all.</param>
    /// <param name="partLargest">The largest score of the part; negative infinity for one without a visible slot, which changes nothing.</param>
    /// <param name="partSum">Its sum of exponentials.</param>
    /// <param name="partValues">Its weighted sums of values.</param>
    public static void Merge(
        ref float largest, ref float sum, Span<float> values, float partLargest, float partSum, ReadOnlySpan<float> partValues)
    {
        if (float.IsNegativeInfinity(partLargest))
        {
            return;
        }

        if (float.IsNegativeInfinity(largest))
        {
            (largest, sum) = (partLargest, partSum);
            partValues.CopyTo(values);
        }
        else if (partLargest > largest)
        {
            float factor = FloatExp.Exp(largest - partLargest);
            RowMath.ScaleAndAdd(values, factor, partValues);
            sum = float.FusedMultiplyAdd(sum, factor, partSum);
            largest = partLargest;
        }
        else
        {
            float factor = FloatExp.Exp(partLargest - largest);
            RowMath.AddScaled(partValues, factor, values);
            sum = float.FusedMultiplyAdd(partSum, factor, sum);
        }
    }
}
