using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>F16: one weight stored as IEEE 754 binary16. Importance and mode mean nothing to it.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 2)]
internal struct BlockF16 : IQuantBlock<BlockF16>
{
    internal Half Value;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.F16;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 1;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.F16;

    /// <inheritdoc/>
    public static double ErrorLimit => 1e-5;

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(Value);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockF16> source, Span<float> destination)
    {
        for (int i = 0; i < source.Length; i++)
        {
            destination[i] = (float)source[i].Value;
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockF16> destination, in EncodeOptions options) =>
        TensorPrimitives.ConvertToHalf(source, MemoryMarshal.Cast<BlockF16, Half>(destination));
}
