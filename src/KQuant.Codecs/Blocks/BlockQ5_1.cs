using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_1: 32 weights in 24 bytes, <c>w = d * q + m</c>, codes in the order of q5_0.
/// (ggml <c>block_q5_1</c>, <c>dequantize_row_q5_1</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 24)]
public struct BlockQ5_1 : IQuantBlock<BlockQ5_1>
{
    internal Half D;
    internal Half M;
    internal uint Qh;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q5_1;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ5_1> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ5_1 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            float m = (float)block.M;
            for (int j = 0; j < 16; j++)
            {
                int low = (block.Qs[j] & 15) | (int)((block.Qh >> j) & 1) << 4;
                int high = (block.Qs[j] >> 4) | (int)((block.Qh >> (j + 16)) & 1) << 4;
                w[j] = (d * low) + m;
                w[j + 16] = (d * high) + m;
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ5_1> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
