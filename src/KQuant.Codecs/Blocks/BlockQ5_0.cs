using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_0: 32 weights in 22 bytes, <c>w = d * (q - 16)</c>. Low nibbles in the order of q4_0; bit i of <c>Qh</c> is the fifth bit of
/// weight i. (ggml <c>block_q5_0</c>, <c>dequantize_row_q5_0</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 22)]
internal struct BlockQ5_0 : ISymmetricFlatBlock<BlockQ5_0>
{
    internal Half D;
    internal uint Qh;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q5_0;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q5_0;

    /// <inheritdoc/>
    public static double ErrorLimit => 6e-3;

    static int ISymmetricFlatBlock<BlockQ5_0>.HalfCodes => 16;

    readonly Half ISymmetricFlatBlock<BlockQ5_0>.Scale => D;

    static ReadOnlySpan<int> IQuantBlock<BlockQ5_0>.ScaleOffsets => [0];

    static IntegerForm? IQuantBlock<BlockQ5_0>.Integers => new IntegerForm(ActivationScheme.Block32, HasMin: false);

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

    static unsafe void IQuantBlock<BlockQ5_0>.Unpack(in BlockQ5_0 block, int number, ref WeightUnit unit)
    {
        unit.D[number] = (float)block.D;
        for (int j = 0; j < 32; j++)
        {
            int low = j < 16 ? block.Qs[j] & 15 : block.Qs[j - 16] >> 4;
            unit.Codes[(32 * number) + j] = (sbyte)((low | (int)((block.Qh >> j) & 1) << 4) - 16);
        }
    }

    void ISymmetricFlatBlock<BlockQ5_0>.Store(Half scale, ReadOnlySpan<byte> codes)
    {
        D = scale;
        Qh = PackedCodes.FifthBits32(codes);
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
