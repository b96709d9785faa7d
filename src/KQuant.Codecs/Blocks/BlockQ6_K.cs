using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q6_K: 256 weights in 210 bytes. Sixteen sub-blocks of 16 with a signed 8-bit scale each: <c>w = (d * scale) * (q - 32)</c>.
/// In each half of 128 weights, weight 32 p + l takes its low four bits from byte <c>l + 32 (p % 2)</c> of <c>Ql</c> (low nibbles for p = 0, 1,
/// high ones for p = 2, 3) and its high two from bits 2 p of byte l of <c>Qh</c>. (ggml <c>block_q6_K</c>, <c>dequantize_row_q6_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 210)]
public struct BlockQ6_K : IQuantBlock<BlockQ6_K>
{
    internal Bytes128 Ql;
    internal Bytes64 Qh;
    internal SBytes16 Scales;
    internal Half D;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q6_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ6_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ6_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            for (int i = 0; i < 256; i++)
            {
                int half = i / 128, plane = i % 128 / 32, l = i % 32;
                int low = (block.Ql[(64 * half) + (plane % 2 * 32) + l] >> (plane / 2 * 4)) & 15;
                int high = (block.Qh[(32 * half) + l] >> (2 * plane)) & 3;
                w[i] = d * block.Scales[i / 16] * ((low | high << 4) - 32);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ6_K> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
