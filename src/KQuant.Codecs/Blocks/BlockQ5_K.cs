using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_K: 256 weights in 176 bytes. As q4_K with a fifth bit: bit i / 32 of <c>Qh[i % 32]</c> belongs to weight i.
/// (ggml <c>block_q5_K</c>, <c>dequantize_row_q5_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 176)]
public struct BlockQ5_K : IBlockEncoder<BlockQ5_K>
{
    internal Half D;
    internal Half DMin;
    internal Bytes12 Scales;
    internal Bytes32 Qh;
    internal Bytes128 Qs;

    private static AffineLayout Layout => new(32, 63, new AffineSearch(31, -0.5f, 0.1f, 15));

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q5_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(DMin);

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
        BlockEncoder.Encode(source, destination, options);

    /// <summary>ggml <c>quantize_row_q5_K_ref</c>.</summary>
    static void IBlockEncoder<BlockQ5_K>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ5_K> destination)
    {
        Span<float> weights = stackalloc float[256];
        AffineSuperBlock block = default;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            for (int i = 0; i < 256; i += 32)
            {
                ReadOnlySpan<float> group = x.Slice(i, 32);
                ErrorWeights.Magnitudes(group, MathF.Sqrt(ErrorWeights.SumOfSquares(group) / 32), weights.Slice(i, 32));
            }

            block.EncodePlain(x, weights, Layout);
            destination[b].Pack(block);
        }
    }

    /// <summary>ggml <c>quantize_row_q5_K_impl</c>.</summary>
    static void IBlockEncoder<BlockQ5_K>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ5_K> destination)
    {
        Span<float> weights = stackalloc float[256];
        AffineSuperBlock block = default;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            float power = 2 * ErrorWeights.SumOfSquares(x) / 256;
            ErrorWeights.FromImportance(x, importance.Slice(b * 256, 256), power, weights);
            block.EncodeWeighted(x, weights, Layout);
            destination[b].Pack(block);
        }
    }

    /// <inheritdoc/>
    static BlockQ5_K IBlockEncoder<BlockQ5_K>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ5_K start)
    {
        AffineSuperBlock block = default;
        block.D = start.D;
        block.DMin = start.DMin;
        for (int s = 0; s < Layout.Groups; s++)
        {
            (int scale, int min) = PackedScales.Q4(start.Scales, s);
            block.Scales[s] = (byte)scale;
            block.Mins[s] = (byte)min;
        }

        block.Refine(x, weights, Layout);
        BlockQ5_K refined = default;
        refined.Pack(block);
        return refined;
    }

    private void Pack(in AffineSuperBlock block)
    {
        D = block.D;
        DMin = block.DMin;
        PackedScales.PackQ4(block.Scales, block.Mins, Scales);
        PackedCodes.PackBit256(block.Codes, 4, Qh);
        PackedCodes.PackNibbles256(block.Codes, Qs);
    }
}
