using System.Diagnostics.CodeAnalysis;
using static System.FormattableString;

namespace KQuant.Codecs;

/// <content>Argument errors of the file readers and writers.</content>
internal static partial class Throw
{
    [DoesNotReturn]
    public static void RangeOutsideTensor(string name, long offset, long count, long length) =>
        throw new ArgumentOutOfRangeException(
            nameof(offset), Invariant($"{count} bytes at {offset} do not lie inside tensor '{name}', which has {length}."));

    [DoesNotReturn]
    public static void RowsOutsideTensor(string name, long first, long count, long rows) =>
        throw new ArgumentOutOfRangeException(
            nameof(first), Invariant($"{count} rows from row {first} do not lie inside tensor '{name}', which has {rows}."));

    [DoesNotReturn]
    public static void NotWholeRows(string name, int length, int columns, string parameter) =>
        throw new ArgumentException($"The destination holds {length} values, no whole rows of tensor '{name}' ({columns} columns).", parameter);

    [DoesNotReturn]
    public static void NotWeights(string path, string name, string format) =>
        throw new NotSupportedException(
            $"{path}: tensor '{name}' is stored as {format}, which cannot be decoded here; the formats are {QuantCodec.NameList}.");

    [DoesNotReturn]
    public static void NoSuchTensor(string path, string name) =>
        throw new KeyNotFoundException($"{path} has no tensor '{name}'.");
}
