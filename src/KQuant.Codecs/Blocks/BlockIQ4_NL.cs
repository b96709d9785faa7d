using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// iq4_nl: 32 weights in 18 bytes, <c>w = d * Values[q]</c>: sixteen values that lie closer together near zero. The codes lie as in q4_0.
/// (ggml <c>block_iq4_nl</c>, <c>dequantize_row_iq4_nl</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 18)]
internal struct BlockIQ4_NL : IBlockEncoder<BlockIQ4_NL>
{
    // Scales that are tried on both sides of the one that fits the largest weight.
    private const int Steps = 7;

    internal Half D;
    internal Bytes16 Qs;

    private static ReadOnlySpan<sbyte> Values => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.IQ4_NL;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.IQ4_NL;

    static ReadOnlySpan<int> IQuantBlock<BlockIQ4_NL>.ScaleOffsets => [0];

    static IntegerForm? IQuantBlock<BlockIQ4_NL>.Integers => new IntegerForm(ActivationScheme.Block32, HasMin: false);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockIQ4_NL> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockIQ4_NL block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            for (int j = 0; j < 16; j++)
            {
                w[j] = d * Values[block.Qs[j] & 15];
                w[j + 16] = d * Values[block.Qs[j] >> 4];
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockIQ4_NL> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockIQ4_NL>.Unpack(in BlockIQ4_NL block, int number, ref WeightUnit unit)
    {
        unit.D[number] = (float)block.D;
        for (int j = 0; j < 16; j++)
        {
            unit.Codes[(32 * number) + j] = Values[block.Qs[j] & 15];
            unit.Codes[(32 * number) + j + 16] = Values[block.Qs[j] >> 4];
        }
    }

    /// <summary>
    /// ggml <c>quantize_iq4_nl</c> without importance: the search of the weighted encoder, the squares of the weights in place of importance.
    /// (<c>quantize_row_iq4_nl_ref</c>, which is not used for models, tries one scale only.)
    /// </summary>
    static void IBlockEncoder<BlockIQ4_NL>.EncodePlain(ReadOnlySpan<float> row, Span<BlockIQ4_NL> destination)
    {
        Span<float> squares = stackalloc float[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            ErrorWeights.Squares(x, squares);
            destination[b].Encode(x, squares);
        }
    }

    /// <summary>ggml <c>quantize_row_iq4_nl_impl</c>.</summary>
    static void IBlockEncoder<BlockIQ4_NL>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockIQ4_NL> destination)
    {
        Span<float> weights = stackalloc float[32];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            float power = 2 * ErrorWeights.SumOfSquares(x) / 32;
            ErrorWeights.FromImportance(x, importance.Slice(b * 32, 32), power, weights);
            destination[b].Encode(x, weights);
        }
    }

    /// <summary>Scales around the current one, each replaced by the optimum of its codes; the best as binary16 stays.</summary>
    static BlockIQ4_NL IBlockEncoder<BlockIQ4_NL>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockIQ4_NL start)
    {
        float bestScale = (float)start.D, bestError = float.PositiveInfinity;
        for (int step = -12; step <= 12; step++)
        {
            float scale = (float)start.D * (1 + (0.02f * step));
            for (int round = 0; round < 2 && scale != 0; round++)
            {
                (float xq, float qq) = Moments(x, weights, 1 / scale);
                scale = (float)(Half)(qq > 0 ? xq / qq : 0);
                float error = scale == 0 ? float.PositiveInfinity : Error(x, weights, scale);
                if (error < bestError)
                {
                    (bestScale, bestError) = (scale, error);
                }
            }
        }

        BlockIQ4_NL refined = default;
        refined.Pack(x, bestScale);
        return refined;
    }

    private void Encode(ReadOnlySpan<float> x, ReadOnlySpan<float> weights)
    {
        float extreme = SymmetricFit.Extreme(x);
        if (MathF.Abs(extreme) < SymmetricFit.Tiny)
        {
            Pack(x, 0);
            return;
        }

        // A block without any importance has no optimum: zeros, where ggml stores a NaN.
        (float xq, float qq) = Moments(x, weights, 1 / (-extreme / Values[0]));
        float scale = qq > 0 ? xq / qq : 0;
        float best = scale * xq;
        for (int step = -Steps; step <= Steps; step++)
        {
            (xq, qq) = Moments(x, weights, (step + Values[0]) / extreme);
            if (qq > 0 && xq * xq > best * qq)
            {
                scale = xq / qq;
                best = scale * xq;
            }
        }

        Pack(x, scale);
    }

    private void Pack(ReadOnlySpan<float> x, float scale)
    {
        Span<byte> codes = stackalloc byte[32];
        float inverse = scale != 0 ? 1 / scale : 0;
        for (int j = 0; j < 32; j++)
        {
            codes[j] = (byte)Nearest(inverse * x[j]);
        }

        D = (Half)scale;
        PackedCodes.PackNibbles32(codes, Qs);
    }

    private static (float XQ, float QQ) Moments(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float inverse)
    {
        float xq = 0, qq = 0;
        for (int j = 0; j < x.Length; j++)
        {
            float q = Values[Nearest(inverse * x[j])];
            xq += weights[j] * q * x[j];
            qq += weights[j] * q * q;
        }

        return (xq, qq);
    }

    private static float Error(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float scale)
    {
        float error = 0, inverse = 1 / scale;
        for (int j = 0; j < x.Length; j++)
        {
            float difference = x[j] - (scale * Values[Nearest(inverse * x[j])]);
            error += weights[j] * difference * difference;
        }

        return error;
    }

    /// <summary>The code of the nearest value, the larger one in the middle. (ggml <c>best_index_int8</c>.)</summary>
    private static int Nearest(float x)
    {
        if (x <= Values[0])
        {
            return 0;
        }

        int low = 0, high = 15;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            (low, high) = x < Values[middle] ? (low, middle) : (middle, high);
        }

        return x - Values[high - 1] < Values[high] - x ? high - 1 : high;
    }
}
