using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_0: 32 weights in 18 bytes, <c>w = d * (q - 8)</c>. Byte j of the codes holds weight j in its low and weight j + 16 in its high
/// nibble. (ggml <c>block_q4_0</c>, <c>dequantize_row_q4_0</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 18)]
internal struct BlockQ4_0 : ISymmetricFlatBlock<BlockQ4_0>
{
    internal Half D;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q4_0;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q4_0;

    /// <inheritdoc/>
    public static double ErrorLimit => 0.025;

    static int ISymmetricFlatBlock<BlockQ4_0>.HalfCodes => 8;

    readonly Half ISymmetricFlatBlock<BlockQ4_0>.Scale => D;

    static ReadOnlySpan<int> IQuantBlock<BlockQ4_0>.ScaleOffsets => [0];

    static IntegerForm? IQuantBlock<BlockQ4_0>.Integers => new IntegerForm(ActivationScheme.Block32, HasMin: false);

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

    static unsafe void IQuantBlock<BlockQ4_0>.Unpack(in BlockQ4_0 block, int number, ref WeightUnit unit)
    {
        unit.D[number] = (float)block.D;
        for (int j = 0; j < 16; j++)
        {
            unit.Codes[(32 * number) + j] = (sbyte)((block.Qs[j] & 15) - 8);
            unit.Codes[(32 * number) + j + 16] = (sbyte)((block.Qs[j] >> 4) - 8);
        }
    }

    void ISymmetricFlatBlock<BlockQ4_0>.Store(Half scale, ReadOnlySpan<byte> codes)
    {
        D = scale;
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
