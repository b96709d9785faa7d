using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q8_0: 32 weights in 34 bytes, <c>w = d * q</c>, signed 8-bit codes.
/// (ggml <c>block_q8_0</c>, <c>dequantize_row_q8_0</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 34)]
internal struct BlockQ8_0 : IBlockEncoder<BlockQ8_0>
{
    internal Half D;
    internal SBytes32 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q8_0;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q8_0;

    /// <inheritdoc/>
    public static double ErrorLimit => 1e-4;

    static ReadOnlySpan<int> IQuantBlock<BlockQ8_0>.ScaleOffsets => [0];

    static IntegerForm? IQuantBlock<BlockQ8_0>.Integers => new IntegerForm(ActivationScheme.Block32, HasMin: false);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ8_0> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ8_0 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            for (int j = 0; j < 32; j++)
            {
                w[j] = d * block.Qs[j];
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ8_0> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ8_0>.Unpack(in BlockQ8_0 block, int number, ref WeightUnit unit)
    {
        unit.D[number] = (float)block.D;
        for (int j = 0; j < 32; j++)
        {
            unit.Codes[(32 * number) + j] = block.Qs[j];
        }
    }

    /// <summary>ggml <c>quantize_row_q8_0_ref</c>.</summary>
    static void IBlockEncoder<BlockQ8_0>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ8_0> destination) =>
        Encode(row, destination);

    /// <summary>ggml has no weighted encoder for q8_0: importance changes nothing.</summary>
    static void IBlockEncoder<BlockQ8_0>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ8_0> destination) =>
        Encode(row, destination);

    /// <inheritdoc/>
    static BlockQ8_0 IBlockEncoder<BlockQ8_0>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ8_0 start)
    {
        BlockQ8_0 refined = default;
        refined.D = FlatSearch.Signed8(x, weights, start.D, refined.Qs);
        return refined;
    }

    private static void Encode(ReadOnlySpan<float> row, Span<BlockQ8_0> destination)
    {
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 32, 32);
            float d = MathF.Abs(SymmetricFit.Extreme(x)) / 127;
            float inverse = d != 0 ? 1 / d : 0;
            destination[b].D = (Half)d;
            for (int j = 0; j < 32; j++)
            {
                destination[b].Qs[j] = (sbyte)MathF.Round(x[j] * inverse, MidpointRounding.AwayFromZero);
            }
        }
    }
}
