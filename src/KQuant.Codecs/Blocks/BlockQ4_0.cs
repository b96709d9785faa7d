using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_0: 32 weights in 18 bytes, <c>w = d * (q - 8)</c>. Byte j of the codes holds weight j in its low and weight j + 16 in its high nibble.
/// (ggml <c>block_q4_0</c>, <c>dequantize_row_q4_0</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 18)]
public struct BlockQ4_0 : IQuantBlock<BlockQ4_0>
{
    internal Half D;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q4_0;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ4_0> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ4_0 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            for (int j = 0; j < 16; j++)
            {
                w[j] = d * ((block.Qs[j] & 15) - 8);
                w[j + 16] = d * ((block.Qs[j] >> 4) - 8);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ4_0> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
