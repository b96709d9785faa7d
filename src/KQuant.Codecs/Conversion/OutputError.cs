using System.Numerics.Tensors;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// What an encoding of a weight does to the results of its products: the expected squared error of an output vector, taking the inputs of
/// different columns as independent. Experts count by how often they are chosen.
/// </summary>
internal static class OutputError
{
    /// <summary>Sums over rows, each column weighed with its mean squared input.</summary>
    /// <param name="weights">The original rows of one expert.</param>
    /// <param name="decoded">The same, encoded and decoded.</param>
    /// <param name="importance">Mean squares, one for each column; empty for ones.</param>
    /// <param name="columns">Columns.</param>
    /// <returns>The error, and the same sum of the original weights: the expected squared output.</returns>
    public static (double Error, double Signal) Measure(
        ReadOnlySpan<float> weights, ReadOnlySpan<float> decoded, ReadOnlySpan<float> importance, int columns)
    {
        var difference = new float[columns];
        double error = 0, signal = 0;
        for (int start = 0; start < weights.Length; start += columns)
        {
            ReadOnlySpan<float> row = weights.Slice(start, columns);
            TensorPrimitives.Subtract(row, decoded.Slice(start, columns), difference);
            TensorPrimitives.Multiply<float>(difference, difference, difference);
            error += importance.IsEmpty ? TensorPrimitives.Sum<float>(difference) : TensorPrimitives.Dot(difference, importance);
            TensorPrimitives.Multiply(row, row, difference);
            signal += importance.IsEmpty ? TensorPrimitives.Sum<float>(difference) : TensorPrimitives.Dot(difference, importance);
        }

        return (error, signal);
    }

    /// <summary>The part of all inputs that each expert sees.</summary>
    public static double[] Shares(long experts, ImportanceEntry? entry)
    {
        long[] counts = entry?.GetCounts() ?? [];
        double all = counts.Sum();
        return counts.Length == experts && all > 0
            ? [.. counts.Select(count => count / all)]
            : [.. Enumerable.Repeat(1.0 / experts, (int)experts)];
    }
}
