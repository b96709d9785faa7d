using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_K: 256 weights in 176 bytes. As q4_K with a fifth bit: bit i / 32 of <c>Qh[i % 32]</c> belongs to weight i.
/// (ggml <c>block_q5_K</c>, <c>dequantize_row_q5_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 176)]
public struct BlockQ5_K : IQuantBlock<BlockQ5_K>
{
    internal Half D;
    internal Half DMin;
    internal Bytes12 Scales;
    internal Bytes32 Qh;
    internal Bytes128 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q5_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ5_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ5_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            float dmin = (float)block.DMin;
            for (int i = 0; i < 256; i++)
            {
                int sub = i / 32, l = i % 32;
                int q = (block.Qs[(sub / 2 * 32) + l] >> (sub % 2 * 4)) & 15;
                q |= ((block.Qh[l] >> sub) & 1) << 4;
                (int scale, int min) = PackedScales.Q4(block.Scales, sub);
                w[i] = (d * scale * q) - (dmin * min);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ5_K> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
