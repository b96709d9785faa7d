using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_1: 32 weights in 24 bytes, <c>w = d * q + m</c>, codes in the order of q5_0.
/// (ggml <c>block_q5_1</c>, <c>dequantize_row_q5_1</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 24)]
internal struct BlockQ5_1 : IAffineFlatBlock<BlockQ5_1>
{
    internal Half D;
    internal Half M;
    internal uint Qh;
    internal Bytes16 Qs;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q5_1;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 32;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q5_1;

    /// <inheritdoc/>
    public static double ErrorLimit => 5e-3;

    static int IAffineFlatBlock<BlockQ5_1>.MaxCode => 31;

    readonly (Half Scale, Half Min) IAffineFlatBlock<BlockQ5_1>.Scales => (D, M);

    static ReadOnlySpan<int> IQuantBlock<BlockQ5_1>.ScaleOffsets => [0, 2];

    static IntegerForm? IQuantBlock<BlockQ5_1>.Integers => new IntegerForm(ActivationScheme.Block32, HasMin: true);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(M);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ5_1> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ5_1 block = ref source[b];
            Span<float> w = destination.Slice(b * 32, 32);
            float d = (float)block.D;
            float m = (float)block.M;
            for (int j = 0; j < 16; j++)
            {
                int low = (block.Qs[j] & 15) | (int)((block.Qh >> j) & 1) << 4;
                int high = (block.Qs[j] >> 4) | (int)((block.Qh >> (j + 16)) & 1) << 4;
                w[j] = (d * low) + m;
                w[j + 16] = (d * high) + m;
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ5_1> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ5_1>.Unpack(in BlockQ5_1 block, int number, ref WeightUnit unit)
    {
        unit.D[number] = (float)block.D;
        unit.M[number] = (float)block.M;
        for (int j = 0; j < 32; j++)
        {
            int low = j < 16 ? block.Qs[j] & 15 : block.Qs[j - 16] >> 4;
            unit.Codes[(32 * number) + j] = (sbyte)(low | (int)((block.Qh >> j) & 1) << 4);
        }
    }

    void IAffineFlatBlock<BlockQ5_1>.Store(Half scale, Half min, ReadOnlySpan<byte> codes)
    {
        D = scale;
        M = min;
        Qh = PackedCodes.FifthBits32(codes);
        PackedCodes.PackNibbles32(codes, Qs);
    }
}
