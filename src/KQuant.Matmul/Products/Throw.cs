using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs;
using static System.FormattableString;

namespace KQuant.Matmul;

/// <summary>Every argument error of the package, worded once, with the values in it.</summary>
[StackTraceHidden]
internal static class Throw
{
    [DoesNotReturn]
    public static void StackNotMatrix(QuantizedTensor weights) => throw new ArgumentException(
        $"The weights {weights} are a stack of {weights.Shape.Experts} matrices and this product takes one: "
        + "use GatherMultiply, or Slice one of them.",
        nameof(weights));

    [DoesNotReturn]
    public static void NoIndices(QuantizedTensor experts) => throw new ArgumentException(
        $"{experts} is a stack of {experts.Shape.Experts} matrices and there is neither an lhs nor an rhs index array.", nameof(experts));

    [DoesNotReturn]
    public static void NotWholeRows(string name, long length, QuantizedTensor weights, string dimension, long inner) => throw new ArgumentException(
        $"{name} has {length} values, which is no multiple of the {inner} {dimension} of {weights}.", name);

    [DoesNotReturn]
    public static void WrongOutputLength(string name, long length, long rows, long columns) => throw new ArgumentException(
        $"{name} has {length} values; {rows} rows of {columns} are {rows * columns}.", name);

    [DoesNotReturn]
    public static void Overlap(string input, string output) => throw new ArgumentException(
        $"{input} and {output} overlap; a product cannot be computed in place.", output);

    [DoesNotReturn]
    public static void TooFewDimensions(ReadOnlySpan<int> shape) => throw new ArgumentException(
        $"x has the shape {Text(shape)}; a gather needs at least two dimensions, [..., rows, columns].", nameof(shape));

    [DoesNotReturn]
    public static void BadShape(ReadOnlySpan<int> shape, string parameter) => throw new ArgumentException(
        $"{parameter} has the shape {Text(shape)}; lengths cannot be negative nor their product exceed {int.MaxValue}.", parameter);

    [DoesNotReturn]
    public static void WrongInnerDimension(ReadOnlySpan<int> shape, QuantizedTensor weights, string dimension, long inner) =>
        throw new ArgumentException(
            Invariant($"x has the shape {Text(shape)}, so {shape[^1]} values per row; {weights} has {inner} {dimension}."), nameof(shape));

    [DoesNotReturn]
    public static void WrongShapeLength(string name, long length, ReadOnlySpan<int> shape, long expected) => throw new ArgumentException(
        $"{name} has {length} values; the shape {Text(shape)} has {expected}.", name);

    [DoesNotReturn]
    public static void WrongIndexCount(int count, ReadOnlySpan<int> shape) => throw new ArgumentException(
        $"There are {count} indices; the shape {Text(shape)} has {IndexArray.Product(shape, nameof(shape))}.", nameof(shape));

    [DoesNotReturn]
    public static void NotBroadcastable(ReadOnlySpan<int> lhs, ReadOnlySpan<int> rhs) => throw new ArgumentException(
        $"lhs of shape {Text(lhs)} and rhs of shape {Text(rhs)} cannot be broadcast together.", nameof(rhs));

    [DoesNotReturn]
    public static void IndexOutOfRange(string name, int entry, int index, long limit, string what) => throw new ArgumentOutOfRangeException(
        name, index, Invariant($"{name} has {index} at entry {entry}; there are {limit} {what}."));

    [DoesNotReturn]
    public static void WrongEntryLength(string name, long length, int entries, int rows, long columns) => throw new ArgumentException(
        $"{name} has {length} values; {entries} entries of {rows} rows of {columns} are {entries * rows * columns}.", name);

    [DoesNotReturn]
    public static void UnevenIndices(int ids, int rows) => throw new ArgumentException(
        $"There are {ids} experts chosen for {rows} rows; every row needs the same number.", nameof(ids));

    [DoesNotReturn]
    public static void WrongHeads(ReadOnlySpan<int> shape, QuantizedTensor weights) => throw new ArgumentException(
        $"x has the shape {Text(shape)}; {weights} takes [batches, {weights.Shape.Experts} or 1, length, values].", nameof(shape));

    public static void IfBiasLengthIsNot(ReadOnlyMemory<float> bias, long expected, QuantizedTensor weights)
    {
        if (!bias.IsEmpty && bias.Length != expected)
        {
            throw new ArgumentException($"The bias has {bias.Length} values; {weights} has {expected} rows.", nameof(bias));
        }
    }

    private static string Text(ReadOnlySpan<int> shape) =>
        $"[{string.Join(", ", shape.ToArray().Select(length => Invariant($"{length}")))}]";
}
