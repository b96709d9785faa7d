using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// mxfp4: 32 weights in 17 bytes, <c>w = 2^(e - 128) * Doubled[q]</c>: 4-bit floats and a power of two. The codes lie as in q4_0.
/// (ggml <c>block_mxfp4</c>, <c>dequantize_row_mxfp4</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 17)]
internal struct BlockMXFP4 : IBlockEncoder<BlockMXFP4>
{
    internal byte E;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.MXFP4;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.MXFP4_MOE;

    /// <inheritdoc/>
    public static double ErrorLimit => 0.05;

    /// <inheritdoc/>
    public readonly bool IsFinite => true;

    private readonly float HalfScale => BitConverter.UInt32BitsToSingle(E < 2 ? 0x0020_0000u << E : (uint)(E - 1) << 23);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockMXFP4> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockMXFP4 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = block.HalfScale;
            for (int j = 0; j < 16; j++)
            {
                w[j] = Float4.Doubled[block.Qs[j] & 15] * d;
                w[j + 16] = Float4.Doubled[block.Qs[j] >> 4] * d;
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockMXFP4> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    /// <summary>ggml <c>quantize_row_mxfp4_ref</c>: the power of two below the largest weight, the nearest values.</summary>
    static void IBlockEncoder<BlockMXFP4>.EncodePlain(ReadOnlySpan<float> row, Span<BlockMXFP4> destination)
    {
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            float largest = MathF.Abs(SymmetricFit.Extreme(x));
            destination[b].Pack(x, largest > 0 ? Math.Clamp((int)MathF.Floor((float)Math.Log2(largest)) - 2 + 127, 0, 254) : 0);
        }
    }

    /// <summary>As without importance, as in ggml.</summary>
    static void IBlockEncoder<BlockMXFP4>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockMXFP4> destination) => Plain(row, destination);

    /// <summary>The powers of two around the current one.</summary>
    static BlockMXFP4 IBlockEncoder<BlockMXFP4>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockMXFP4 start)
    {
        BlockMXFP4 best = start;
        double least = double.PositiveInfinity;
        Span<float> decoded = stackalloc float[32];
        for (int e = Math.Max(0, start.E - 1); e <= Math.Min(254, start.E + 1); e++)
        {
            BlockMXFP4 candidate = default;
            candidate.Pack(x, e);
            Decode(new ReadOnlySpan<BlockMXFP4>(in candidate), decoded);
            double error = ErrorWeights.SquaredError(x, decoded, weights);
            if (error < least)
            {
                (best, least) = (candidate, error);
            }
        }

        return best;
    }

    private static void Plain<TBlock>(ReadOnlySpan<float> row, Span<TBlock> destination)
        where TBlock : unmanaged, IBlockEncoder<TBlock> => TBlock.EncodePlain(row, destination);

    private void Pack(ReadOnlySpan<float> x, int e)
    {
        E = (byte)e;
        Span<byte> codes = stackalloc byte[32];
        float d = HalfScale;
        for (int j = 0; j < 32; j++)
        {
            codes[j] = Float4.Nearest(x[j], d);
        }

        PackedCodes.PackNibbles32(codes, Qs);
    }
}
