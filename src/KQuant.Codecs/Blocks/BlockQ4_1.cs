using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_1: 32 weights in 20 bytes, <c>w = d * q + m</c>, codes in the order of q4_0.
/// (ggml <c>block_q4_1</c>, <c>dequantize_row_q4_1</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 20)]
public struct BlockQ4_1 : IQuantBlock<BlockQ4_1>
{
    internal Half D;
    internal Half M;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q4_1;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ4_1> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ4_1 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            float m = (float)block.M;
            for (int j = 0; j < 16; j++)
            {
                w[j] = (d * (block.Qs[j] & 15)) + m;
                w[j + 16] = (d * (block.Qs[j] >> 4)) + m;
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ4_1> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
