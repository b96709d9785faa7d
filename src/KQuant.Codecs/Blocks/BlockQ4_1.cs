using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_1: 32 weights in 20 bytes, <c>w = d * q + m</c>, codes in the order of q4_0.
/// (ggml <c>block_q4_1</c>, <c>dequantize_row_q4_1</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 20)]
internal struct BlockQ4_1 : IAffineFlatBlock<BlockQ4_1>
{
    internal Half D;
    internal Half M;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q4_1;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q4_1;

    /// <inheritdoc/>
    public static double ErrorLimit => 0.02;

    static int IAffineFlatBlock<BlockQ4_1>.MaxCode => 15;

    readonly (Half Scale, Half Min) IAffineFlatBlock<BlockQ4_1>.Scales => (D, M);

    static ReadOnlySpan<int> IQuantBlock<BlockQ4_1>.ScaleOffsets => [0, 2];

    static IntegerForm? IQuantBlock<BlockQ4_1>.Integers => new IntegerForm(ActivationScheme.Block32, HasMin: true);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(M);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ4_1> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ4_1 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            float m = (float)block.M;
            for (int j = 0; j < 16; j++)
            {
                w[j] = (d * (block.Qs[j] & 15)) + m;
                w[j + 16] = (d * (block.Qs[j] >> 4)) + m;
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ4_1> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ4_1>.Unpack(in BlockQ4_1 block, int number, ref WeightUnit unit)
    {
        unit.D[number] = (float)block.D;
        unit.M[number] = (float)block.M;
        for (int j = 0; j < 16; j++)
        {
            unit.Codes[(32 * number) + j] = (sbyte)(block.Qs[j] & 15);
            unit.Codes[(32 * number) + j + 16] = (sbyte)(block.Qs[j] >> 4);
        }
    }

    void IAffineFlatBlock<BlockQ4_1>.Store(Half scale, Half min, ReadOnlySpan<byte> codes)
    {
        D = scale;
        M = min;
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
