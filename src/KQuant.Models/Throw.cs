using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Models;

/// <summary>Every argument error of the package, worded once, with the values in it.</summary>
[StackTraceHidden]
internal static class Throw
{
    [DoesNotReturn]
    public static void SharedCache(string name) => throw new ArgumentException("Two texts of a batch have the same cache.", name);

    [DoesNotReturn]
    public static void WrongLogitLength(string name, long length, int vocabulary, long rows) => throw new ArgumentException(
        $"{name} has {length} values; it takes {vocabulary} for the last token or {rows * vocabulary} for all {rows}.", name);

    [DoesNotReturn]
    public static void WrongLength(string name, long length, long expected) =>
        throw new ArgumentException($"{name} has {length} values and should have {expected}.", name);

    [DoesNotReturn]
    public static void CacheTooSmall(string name, int size, int least) => throw new ArgumentOutOfRangeException(
        name, $"A cache of {size} tokens is too small; it remembers at least {least}, or all with 0.");

    [DoesNotReturn]
    public static void NoSuchLayer(string name, int layer, int layers) => throw new ArgumentException(
        $"The cache options name layer {layer}; the model has layers 0 to {layers - 1}.", name);

    [DoesNotReturn]
    public static void NoTokenizer(string path) =>
        throw new InvalidOperationException($"{path} was loaded without a tokenizer; only token ids can be used.");

    [DoesNotReturn]
    public static void NoTemplate(string path) =>
        throw new InvalidOperationException($"{path} has no chat template.");
}
