using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_0: 32 weights in 18 bytes, <c>w = d * (q - 8)</c>. Byte j of the codes holds weight j in its low and weight j + 16 in its high
/// nibble. (ggml <c>block_q4_0</c>, <c>dequantize_row_q4_0</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 18)]
public struct BlockQ4_0 : IBlockEncoder<BlockQ4_0>
{
    internal Half D;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat Format => QuantFormat.Q4_0;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D);

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
        BlockEncoder.Encode(source, destination, options);

    /// <summary>ggml <c>quantize_row_q4_0_ref</c>.</summary>
    static void IBlockEncoder<BlockQ4_0>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ4_0> destination)
    {
        Span<byte> codes = stackalloc byte[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            float d = SymmetricFit.Extreme(x) / -8;
            float inverse = d != 0 ? 1 / d : 0;
            for (int j = 0; j < 32; j++)
            {
                codes[j] = (byte)Math.Min(15, (int)((x[j] * inverse) + 8.5f));
            }

            destination[b].Pack((Half)d, codes);
        }
    }

    /// <summary>ggml <c>quantize_row_q4_0_impl</c>.</summary>
    static void IBlockEncoder<BlockQ4_0>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ4_0> destination)
    {
        Span<float> weights = stackalloc float[32];
        Span<byte> codes = stackalloc byte[32];
        float power = ErrorWeights.SumOfSquares(row) / row.Length;
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            ErrorWeights.FromImportance(x, importance.Slice(b * 32, 32), power, weights);
            float d = SymmetricFit.Fit(x, weights, 8, codes);
            destination[b].Pack((Half)d, codes);
        }
    }

    /// <inheritdoc/>
    static BlockQ4_0 IBlockEncoder<BlockQ4_0>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ4_0 start)
    {
        Span<byte> codes = stackalloc byte[32];
        Half d = FlatSearch.Symmetric(x, weights, 8, start.D, codes);
        BlockQ4_0 refined = default;
        refined.Pack(d, codes);
        return refined;
    }

    private void Pack(Half d, ReadOnlySpan<byte> codes)
    {
        D = d;
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
