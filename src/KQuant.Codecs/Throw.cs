using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

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
    public static void DestinationTooSmall(QuantCodec codec, long length, long needed, string parameter) =>
        throw new ArgumentException($"{codec.Name}: the destination is {length} long; {needed} are needed.", parameter);
}
