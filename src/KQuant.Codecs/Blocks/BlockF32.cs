using System.Runtime.InteropServices;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>F32: one weight stored as IEEE 754 binary32. Importance and mode mean nothing to it.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 4)]
internal struct BlockF32 : IQuantBlock<BlockF32>
{
    internal float Value;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.F32;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 1;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.F32;

    /// <inheritdoc/>
    public static double ErrorLimit => 0;

    /// <inheritdoc/>
    public readonly bool IsFinite => float.IsFinite(Value);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockF32> source, Span<float> destination) =>
        MemoryMarshal.Cast<BlockF32, float>(source).CopyTo(destination);

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockF32> destination, in EncodeOptions options) =>
        source.CopyTo(MemoryMarshal.Cast<BlockF32, float>(destination));
}
