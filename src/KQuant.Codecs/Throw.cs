using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Numerics.Tensors;
using static System.FormattableString;

namespace KQuant.Codecs;

/// <summary>Every argument error of the package, worded once, with the values in it.</summary>
[StackTraceHidden]
internal static partial class Throw
{
    [DoesNotReturn]
    public static void UnknownFormat(QuantFormat format) =>
        throw new NotSupportedException($"GGML type {(int)format} has no codec here; the codecs are {QuantCodec.NameList}.");

    [DoesNotReturn]
    public static void NotWholeBlocks(QuantCodec codec, string what, long length, int unit, string parameter) =>
        throw new ArgumentException($"{codec.Name}: {what} is {length} long, which is no multiple of {unit}.", parameter);

    [DoesNotReturn]
    public static void LengthMismatch(QuantCodec codec, string what, long length, long expected, string parameter) =>
        throw new ArgumentException($"{codec.Name}: {what} is {length} long; {expected} was expected.", parameter);

    [DoesNotReturn]
    public static void WrongLength(string what, long length, long expected, string parameter) =>
        throw new ArgumentException($"The length of {what} is {length}; {expected} was expected.", parameter);

    [DoesNotReturn]
    public static void PlaneCount(QuantCodec codec, int planes, string parameter) =>
        throw new ArgumentException(
            $"{codec.Name}: {planes} planes were given; there are {codec.Planes.Length} ({string.Join(", ", codec.Planes.Select(plane => plane.Name))}).",
            parameter);

    [DoesNotReturn]
    public static void InvalidBuffer(string parameter) =>
        throw new ArgumentException("The buffer has no memory: its handle is invalid.", parameter);

    [DoesNotReturn]
    public static void RangeOutsideBuffer(long offset, long count, ulong length, string parameter) => throw new ArgumentOutOfRangeException(
        parameter, Invariant($"{count} bytes at {offset} do not lie inside the buffer, which has {length}."));

    [DoesNotReturn]
    public static void ImportanceLength(QuantCodec codec, long length, QuantShape shape, string parameter) =>
        throw new ArgumentException(
            $"{codec.Name}: the importance is {length} long; a {shape} tensor takes {shape.Columns} values (one per column)"
                + (shape.Experts > 1 ? $" or {shape.Experts} times as many (one row per expert)." : "."),
            parameter);

    [DoesNotReturn]
    public static void TooLargeForArray(QuantCodec codec, QuantShape shape, long bytes, string parameter) =>
        throw new ArgumentException($"{codec.Name}: a {shape} tensor takes {bytes} bytes, too many for one array.", parameter);

    [DoesNotReturn]
    public static void WeightNotFinite(QuantCodec codec, long row, ReadOnlySpan<float> weights)
    {
        int column = 0;
        while (float.IsFinite(weights[column]))
        {
            column++;
        }

        throw new InvalidWeightException(
            Invariant($"{codec.Name}: row {row}, column {column}: the weight is {weights[column]}; it must be finite."),
            row, column, weights[column]);
    }

    [DoesNotReturn]
    public static void InvalidImportance(QuantCodec codec, long row, ReadOnlySpan<float> importance)
    {
        int column = 0;
        while (float.IsFinite(importance[column]) && importance[column] >= 0)
        {
            column++;
        }

        string rows = row == 0 ? "" : $" (rows from {row} on)";
        throw new InvalidWeightException(
            Invariant($"{codec.Name}: the importance of column {column}{rows} is {importance[column]}; it must be finite and not below 0."),
            row, column, importance[column]);
    }

    [DoesNotReturn]
    public static void ScaleOverflow(QuantCodec codec, long row, int column, ReadOnlySpan<float> weights)
    {
        float value = TensorPrimitives.MaxMagnitude(weights);
        string place = weights.Length == 1 ? $"column {column}" : $"columns {column} to {column + weights.Length - 1}";
        throw new InvalidWeightException(
            Invariant($"{codec.Name}: row {row}, {place}: a weight of {value} is beyond the range of the format."), row, column, value);
    }

    [DoesNotReturn]
    public static void WeightTooLarge(QuantCodec codec, long row, ReadOnlySpan<float> weights)
    {
        int column = 0;
        while (MathF.Abs(weights[column]) <= codec.MaxWeight)
        {
            column++;
        }

        column -= column % codec.WeightsPerBlock;
        ScaleOverflow(codec, row, column, weights.Slice(column, codec.WeightsPerBlock));
    }

    [DoesNotReturn]
    public static void HugeImportance(QuantCodec codec, long row, ReadOnlySpan<float> importance)
    {
        int column = importance.IsEmpty ? 0 : TensorPrimitives.IndexOfMax(importance);
        float value = importance.IsEmpty ? 1 : importance[column];
        throw new InvalidWeightException(
            Invariant($"{codec.Name}: row {row}: the importance of column {column} is {value}, and sums of it with weights overflow; divide all importance by a common number."),
            row, column, value);
    }

    [DoesNotReturn]
    public static void DestinationTooSmall(QuantCodec codec, long length, long needed, string parameter) =>
        throw new ArgumentException($"{codec.Name}: the destination is {length} long; {needed} are needed.", parameter);
}
