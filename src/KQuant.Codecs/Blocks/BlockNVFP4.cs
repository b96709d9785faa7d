using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// nvfp4: 64 weights in 36 bytes, <c>w = d[i / 16] / 2 * Doubled[q]</c>: 4-bit floats, and an 8-bit float without a sign for every 16. Byte j of a
/// group has its codes j and j + 8. (ggml <c>block_nvfp4</c>, <c>dequantize_row_nvfp4</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 36)]
internal struct BlockNVFP4 : IBlockEncoder<BlockNVFP4>
{
    private const int Groups = 4, GroupSize = 16, LargestScale = 0x7E;

    internal Bytes4 D;
    internal Bytes32 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.NVFP4;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 64;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.NVFP4;

    static float IQuantBlock<BlockNVFP4>.MaxWeight => Float8.MaxE4M3 * Float4.Max;

    /// <inheritdoc/>
    public readonly bool IsFinite => true;

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockNVFP4> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockNVFP4 block = ref source[b];
            for (int group = 0; group < Groups; group++)
            {
                Span<float> w = destination.Slice((64 * b) + (GroupSize * group), GroupSize);
                float d = HalfScale(block.D[group]);
                for (int j = 0; j < 8; j++)
                {
                    byte codes = block.Qs[(8 * group) + j];
                    w[j] = Float4.Doubled[codes & 15] * d;
                    w[j + 8] = Float4.Doubled[codes >> 4] * d;
                }
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockNVFP4> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    /// <summary>ggml <c>quantize_row_nvfp4_ref</c>: the scale maps the largest weight to the largest value.</summary>
    static void IBlockEncoder<BlockNVFP4>.EncodePlain(ReadOnlySpan<float> row, Span<BlockNVFP4> destination)
    {
        for (int i = 0; i < row.Length; i += GroupSize)
        {
            ReadOnlySpan<float> x = row.Slice(i, GroupSize);
            destination[i / 64].Pack(i % 64 / GroupSize, x, EncodeScale(MathF.Abs(SymmetricFit.Extreme(x)) / Float4.Max));
        }
    }

    /// <summary>As without importance, as in ggml.</summary>
    static void IBlockEncoder<BlockNVFP4>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockNVFP4> destination) => Plain(row, destination);

    /// <summary>The scales around the current one of each group.</summary>
    static BlockNVFP4 IBlockEncoder<BlockNVFP4>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockNVFP4 start)
    {
        BlockNVFP4 refined = start;
        Span<float> decoded = stackalloc float[64];
        for (int group = 0; group < Groups; group++)
        {
            ReadOnlySpan<float> values = x.Slice(GroupSize * group, GroupSize);
            int best = start.D[group];
            double least = double.PositiveInfinity;
            for (int scale = Math.Max(0, start.D[group] - 3); scale <= Math.Min(LargestScale, start.D[group] + 4); scale++)
            {
                refined.Pack(group, values, (byte)scale);
                Decode(new ReadOnlySpan<BlockNVFP4>(in refined), decoded);
                double error = ErrorWeights.SquaredError(
                    values, decoded.Slice(GroupSize * group, GroupSize), weights.Slice(GroupSize * group, GroupSize));
                if (error < least)
                {
                    (best, least) = (scale, error);
                }
            }

            refined.Pack(group, values, (byte)best);
        }

        return refined;
    }

    private static void Plain<TBlock>(ReadOnlySpan<float> row, Span<TBlock> destination)
        where TBlock : unmanaged, IBlockEncoder<TBlock> => TBlock.EncodePlain(row, destination);

    // The bit above the exponent is not looked at, and what would be no number is nothing. (ggml ggml_ue4m3_to_fp32.)
    private static float HalfScale(byte code) => (code & 0x7F) == 0x7F ? 0 : 0.5f * Float8.E4M3[code & 0x7F];

    /// <summary>Rounds half up, and what is less than half of the least number to nothing. (ggml <c>ggml_fp32_to_ue4m3</c>.)</summary>
    private static byte EncodeScale(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(MathF.Min(value, Float8.MaxE4M3));
        if (value < 1 / 64f)
        {
            return (byte)Math.Min(7, (int)((value * 512) + 0.5f));
        }

        uint rounded = (bits >> 20) + (bits >> 19 & 1) - (120 << 3);
        return (byte)Math.Min(rounded, LargestScale);
    }

    private void Pack(int group, ReadOnlySpan<float> x, byte scale)
    {
        D[group] = scale;
        float d = HalfScale(scale);
        for (int j = 0; j < 8; j++)
        {
            Qs[(8 * group) + j] = (byte)(Float4.Nearest(x[j], d) | (Float4.Nearest(x[j + 8], d) << 4));
        }
    }
}
