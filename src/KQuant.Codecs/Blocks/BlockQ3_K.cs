using System.Runtime.InteropServices;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q3_K: 256 weights in 110 bytes. Sixteen sub-blocks of 16 with a signed 6-bit scale each: <c>w = (d * scale) * q</c>, q in -4..3.
/// The low two bits of the codes lie as in q2_K; bit i / 32 of <c>HMask[i % 32]</c> is the third bit, and a clear bit subtracts 4.
/// (ggml <c>block_q3_K</c>, <c>dequantize_row_q3_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 110)]
public struct BlockQ3_K : IQuantBlock<BlockQ3_K>
{
    internal Bytes32 HMask;
    internal Bytes64 Qs;
    internal Bytes12 Scales;
    internal Half D;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q3_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ3_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ3_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            for (int i = 0; i < 256; i++)
            {
                int half = i / 128, plane = i % 128 / 32, l = i % 32;
                int q = (block.Qs[(32 * half) + l] >> (2 * plane)) & 3;
                int third = (block.HMask[l] >> (i / 32)) & 1;
                w[i] = d * PackedScales.Q3(block.Scales, i / 16) * (q - (third == 0 ? 4 : 0));
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ3_K> destination, in EncodeOptions options) =>
        throw new NotSupportedException();
}
