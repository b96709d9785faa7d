using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q3_K: 256 weights in 110 bytes. Sixteen sub-blocks of 16 with a signed 6-bit scale each: <c>w = (d * scale) * q</c>, q in -4..3.
/// The low two bits of the codes lie as in q2_K; bit i / 32 of <c>HMask[i % 32]</c> is the third bit, and a clear bit subtracts 4.
/// (ggml <c>block_q3_K</c>, <c>dequantize_row_q3_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 110)]
internal struct BlockQ3_K : IBlockEncoder<BlockQ3_K>
{
    internal Bytes32 HMask;
    internal Bytes64 Qs;
    internal Bytes12 Scales;
    internal Half D;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q3_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static QuantFormat? Fallback => QuantFormat.Q4_0;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q3_K_M;

    /// <inheritdoc/>
    public static double ErrorLimit => 0.08;

    static ReadOnlySpan<int> IQuantBlock<BlockQ3_K>.ScaleOffsets => [108];

    static IntegerForm? IQuantBlock<BlockQ3_K>.Integers => new IntegerForm(ActivationScheme.Block256, HasMin: false, SubBlock: 16);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D);

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
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ3_K>.Unpack(in BlockQ3_K block, int number, ref WeightUnit unit)
    {
        unit.D[0] = (float)block.D;
        for (int i = 0; i < 256; i++)
        {
            int low = (block.Qs[(32 * (i / 128)) + (i % 32)] >> (2 * (i % 128 / 32))) & 3;
            int high = (block.HMask[i % 32] >> (i / 32)) & 1;
            unit.Codes[i] = (sbyte)((low | high << 2) - 4);
        }

        for (int s = 0; s < 16; s++)
        {
            unit.Scales[s] = (short)PackedScales.Q3(block.Scales, s);
        }
    }

    /// <summary>ggml <c>quantize_row_q3_K_ref</c>.</summary>
    static void IBlockEncoder<BlockQ3_K>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ3_K> destination)
    {
        Span<float> scales = stackalloc float[16];
        Span<byte> scaleCodes = stackalloc byte[16];
        Span<byte> codes = stackalloc byte[256];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            for (int s = 0; s < 16; s++)
            {
                scales[s] = SymmetricFit.FitByRounds(x.Slice(s * 16, 16), 4, codes.Slice(s * 16, 16));
            }

            float extreme = SymmetricFit.Extreme(scales);
            float inverse = -32 / extreme;
            for (int s = 0; s < 16; s++)
            {
                scaleCodes[s] = extreme == 0 ? (byte)0 : (byte)(Rounding.NearestInt(inverse * scales[s], -32, 31) + 32);
            }

            Half d = extreme == 0 ? (Half)0 : (Half)(1 / inverse);
            Requantize(x, d, scaleCodes, codes);
            destination[b].Pack(d, scaleCodes, codes);
        }
    }

    /// <summary>ggml <c>quantize_row_q3_K_impl</c>.</summary>
    static void IBlockEncoder<BlockQ3_K>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ3_K> destination)
    {
        Span<float> weights = stackalloc float[256];
        Span<float> groupWeights = stackalloc float[16];
        Span<float> scales = stackalloc float[16];
        Span<byte> scaleCodes = stackalloc byte[16];
        Span<byte> codes = stackalloc byte[256];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            float power = 2 * ErrorWeights.SumOfSquares(x) / 256;
            ErrorWeights.FromImportance(x, importance.Slice(b * 256, 256), power, weights);
            for (int s = 0; s < 16; s++)
            {
                ReadOnlySpan<float> w = weights.Slice(s * 16, 16);
                groupWeights[s] = ErrorWeights.Sum(w);
                scales[s] = SymmetricFit.Fit(x.Slice(s * 16, 16), w, 4, codes.Slice(s * 16, 16));
            }

            Half d = (Half)SymmetricFit.Fit(scales, groupWeights, 32, scaleCodes);
            Requantize(x, d, scaleCodes, codes);
            destination[b].Pack(d, scaleCodes, codes);
        }
    }

    /// <inheritdoc/>
    static BlockQ3_K IBlockEncoder<BlockQ3_K>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ3_K start)
    {
        SymmetricSuperBlock block = default;
        block.D = start.D;
        for (int s = 0; s < 16; s++)
        {
            block.Scales[s] = (sbyte)PackedScales.Q3(start.Scales, s);
        }

        block.Refine(x, weights, 4, new CodeRange(-32, 31));
        Span<byte> scaleCodes = stackalloc byte[16];
        for (int s = 0; s < 16; s++)
        {
            scaleCodes[s] = (byte)(block.Scales[s] + 32);
        }

        BlockQ3_K refined = default;
        refined.Pack(block.D, scaleCodes, block.Codes);
        return refined;
    }

    /// <summary>
    /// The codes once more, for the scales as a decoder will see them. Sub-blocks whose scale became zero keep those of the fit.
    /// </summary>
    private static void Requantize(ReadOnlySpan<float> x, Half d, ReadOnlySpan<byte> scaleCodes, Span<byte> codes)
    {
        for (int s = 0; s < 16; s++)
        {
            float scale = (float)d * (scaleCodes[s] - 32);
            if (scale != 0)
            {
                SymmetricFit.Requantize(x.Slice(s * 16, 16), scale, 4, codes.Slice(s * 16, 16));
            }
        }
    }

    internal void Pack(Half d, ReadOnlySpan<byte> scaleCodes, ReadOnlySpan<byte> codes)
    {
        D = d;
        PackedScales.PackQ3(scaleCodes, Scales);
        PackedCodes.PackPairs256(codes, Qs);
        PackedCodes.PackBit256(codes, 2, HMask);
    }
}
