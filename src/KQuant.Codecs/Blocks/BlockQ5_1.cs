using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_1: 32 weights in 24 bytes, <c>w = d * q + m</c>, codes in the order of q5_0.
/// (ggml <c>block_q5_1</c>, <c>dequantize_row_q5_1</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 24)]
public struct BlockQ5_1 : IBlockEncoder<BlockQ5_1>
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
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(M);

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
        BlockEncoder.Encode(source, destination, options);

    /// <summary>ggml <c>quantize_row_q5_1_ref</c>.</summary>
    static void IBlockEncoder<BlockQ5_1>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ5_1> destination)
    {
        Span<byte> codes = stackalloc byte[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            (float low, float high) = AffineFit.Range(x);
            float d = (high - low) / 31;
            float inverse = d != 0 ? 1 / d : 0;
            for (int j = 0; j < 32; j++)
            {
                codes[j] = (byte)Math.Min(31, (int)(((x[j] - low) * inverse) + 0.5f));
            }

            destination[b].Pack((Half)d, (Half)low, codes);
        }
    }

    /// <summary>ggml <c>quantize_row_q5_1_impl</c>.</summary>
    static void IBlockEncoder<BlockQ5_1>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ5_1> destination)
    {
        Span<float> weights = stackalloc float[32];
        Span<byte> codes = stackalloc byte[32];
        float power = ErrorWeights.SumOfSquares(row) / row.Length;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            ErrorWeights.FromImportance(x, importance.Slice(b * 32, 32), power, weights);
            float d = AffineFit.Fit(x, weights, new AffineSearch(31, -0.9f, 0.05f, 36), codes, out float min);
            destination[b].Pack((Half)d, (Half)(-min), codes);
        }
    }

    /// <inheritdoc/>
    static BlockQ5_1 IBlockEncoder<BlockQ5_1>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ5_1 start)
    {
        Span<byte> codes = stackalloc byte[32];
        Half d = start.D, m = start.M;
        FlatSearch.Affine(x, weights, 31, ref d, ref m, codes);
        BlockQ5_1 refined = default;
        refined.Pack(d, m, codes);
        return refined;
    }

    private void Pack(Half d, Half m, ReadOnlySpan<byte> codes)
    {
        D = d;
        M = m;
        Qh = PackedCodes.FifthBits32(codes);
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
