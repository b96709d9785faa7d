using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_0: 32 weights in 22 bytes, <c>w = d * (q - 16)</c>. Low nibbles in the order of q4_0; bit i of <c>Qh</c> is the fifth bit of
/// weight i. (ggml <c>block_q5_0</c>, <c>dequantize_row_q5_0</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 22)]
public struct BlockQ5_0 : IBlockEncoder<BlockQ5_0>
{
    internal Half D;
    internal uint Qh;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q5_0;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ5_0> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ5_0 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            for (int j = 0; j < 16; j++)
            {
                int low = (block.Qs[j] & 15) | (int)((block.Qh >> j) & 1) << 4;
                int high = (block.Qs[j] >> 4) | (int)((block.Qh >> (j + 16)) & 1) << 4;
                w[j] = d * (low - 16);
                w[j + 16] = d * (high - 16);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ5_0> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    /// <summary>ggml <c>quantize_row_q5_0_ref</c>.</summary>
    static void IBlockEncoder<BlockQ5_0>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ5_0> destination)
    {
        Span<byte> codes = stackalloc byte[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            float d = SymmetricFit.Extreme(x) / -16;
            float inverse = d != 0 ? 1 / d : 0;
            for (int j = 0; j < 32; j++)
            {
                codes[j] = (byte)Math.Min(31, (int)((x[j] * inverse) + 16.5f));
            }

            destination[b].Pack((Half)d, codes);
        }
    }

    /// <summary>ggml <c>quantize_row_q5_0_impl</c>.</summary>
    static void IBlockEncoder<BlockQ5_0>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ5_0> destination)
    {
        Span<float> weights = stackalloc float[32];
        Span<byte> codes = stackalloc byte[32];
        float power = ErrorWeights.SumOfSquares(row) / row.Length;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            ErrorWeights.FromImportance(x, importance.Slice(b * 32, 32), power, weights);
            float d = SymmetricFit.Fit(x, weights, 16, codes);
            destination[b].Pack((Half)d, codes);
        }
    }

    /// <inheritdoc/>
    static BlockQ5_0 IBlockEncoder<BlockQ5_0>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ5_0 start)
    {
        Span<byte> codes = stackalloc byte[32];
        Half d = FlatSearch.Symmetric(x, weights, 16, start.D, codes);
        BlockQ5_0 refined = default;
        refined.Pack(d, codes);
        return refined;
    }

    private void Pack(Half d, ReadOnlySpan<byte> codes)
    {
        D = d;
        Qh = PackedCodes.FifthBits32(codes);
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
