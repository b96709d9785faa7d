using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_K: 256 weights in 144 bytes. Eight sub-blocks of 32 with a 6-bit scale and minimum each: <c>w = (d * scale) * q - dmin * min</c>.
/// Each run of 32 code bytes holds one sub-block in its low and the next in its high nibbles.
/// (ggml <c>block_q4_K</c>, <c>dequantize_row_q4_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 144)]
public struct BlockQ4_K : IQuantBlock<BlockQ4_K>
{
    internal Half D;
    internal Half DMin;
    internal Bytes12 Scales;
    internal Bytes128 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q4_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ4_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ4_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            float dmin = (float)block.DMin;
            for (int i = 0; i < 256; i++)
            {
                int sub = i / 32, l = i % 32;
                int q = (block.Qs[(sub / 2 * 32) + l] >> (sub % 2 * 4)) & 15;
                (int scale, int min) = PackedScales.Q4(block.Scales, sub);
                w[i] = (d * scale * q) - (dmin * min);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ4_K> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
