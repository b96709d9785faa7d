using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q2_K: 256 weights in 84 bytes. Sixteen sub-blocks of 16 with a 4-bit scale (low nibble) and minimum (high nibble) each:
/// <c>w = (d * scale) * q - dmin * min</c>. The 2-bit codes lie in two halves of 128 weights; byte l of a half holds weights
/// l, l + 32, l + 64, l + 96 of it, lowest bits first. (ggml <c>block_q2_K</c>, <c>dequantize_row_q2_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 84)]
public struct BlockQ2_K : IQuantBlock<BlockQ2_K>
{
    internal Bytes16 Scales;
    internal Bytes64 Qs;
    internal Half D;
    internal Half DMin;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q2_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ2_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ2_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            float dmin = (float)block.DMin;
            for (int i = 0; i < 256; i++)
            {
                int half = i / 128, plane = i % 128 / 32, l = i % 32;
                int q = (block.Qs[(32 * half) + l] >> (2 * plane)) & 3;
                byte scale = block.Scales[i / 16];
                w[i] = (d * (scale & 15) * q) - (dmin * (scale >> 4));
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ2_K> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
