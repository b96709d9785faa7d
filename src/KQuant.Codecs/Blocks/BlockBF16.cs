using System.Runtime.InteropServices;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>BF16: one weight stored as bfloat16. Importance and mode mean nothing to it.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 2)]
internal struct BlockBF16 : IQuantBlock<BlockBF16>
{
    internal BFloat16 Value;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.BF16;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 1;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.BF16;

    /// <inheritdoc/>
    public static double ErrorLimit => 1e-5;

    /// <inheritdoc/>
    public readonly bool IsFinite => float.IsFinite((float)Value);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockBF16> source, Span<float> destination)
    {
        for (int i = 0; i < source.Length; i++)
        {
            destination[i] = (float)source[i].Value;
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockBF16> destination, in EncodeOptions options)
    {
        for (int i = 0; i < source.Length; i++)
        {
            destination[i].Value = (BFloat16)source[i];
        }
    }
}
