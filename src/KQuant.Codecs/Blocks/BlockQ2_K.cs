using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q2_K: 256 weights in 84 bytes. Sixteen sub-blocks of 16 with a 4-bit scale (low nibble) and minimum (high nibble) each:
/// <c>w = (d * scale) * q - dmin * min</c>. The 2-bit codes lie in two halves of 128 weights; byte l of a half holds weights
/// l, l + 32, l + 64, l + 96 of it, lowest bits first. (ggml <c>block_q2_K</c>, <c>dequantize_row_q2_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 84)]
internal struct BlockQ2_K : IAffineBlock<BlockQ2_K>
{
    internal Bytes16 Scales;
    internal Bytes64 Qs;
    internal Half D;
    internal Half DMin;

    static AffineLayout IAffineBlock<BlockQ2_K>.Layout =>
        new(16, 15, new AffineSearch(3, -0.5f, 0.1f, 15, AbsoluteError: true), WeighsBySpread: false, PowerFactor: 1);

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q2_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static QuantFormat? Fallback => QuantFormat.Q4_0;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q2_K;

    /// <inheritdoc/>
    public static double ErrorLimit => 0.3;

    static ReadOnlySpan<int> IQuantBlock<BlockQ2_K>.ScaleOffsets => [80, 82];

    static IntegerForm? IQuantBlock<BlockQ2_K>.Integers => new IntegerForm(ActivationScheme.Block256, HasMin: true, SubBlock: 16);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(DMin);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ2_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ2_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            float dmin = (float)block.DMin;
            for (int i = 0; i < 256; i++)
            {
                int half = i / 128, plane = i % 128 / 32, l = i % 32;
                int q = (block.Qs[(32 * half) + l] >> (2 * plane)) & 3;
                byte scale = block.Scales[i / 16];
                w[i] = (d * (scale & 15) * q) - (dmin * (scale >> 4));
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ2_K> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ2_K>.Unpack(in BlockQ2_K block, int number, ref WeightUnit unit)
    {
        unit.D[0] = (float)block.D;
        unit.M[0] = (float)block.DMin;
        for (int i = 0; i < 256; i++)
        {
            unit.Codes[i] = (sbyte)((block.Qs[(32 * (i / 128)) + (i % 32)] >> (2 * (i % 128 / 32))) & 3);
        }

        for (int s = 0; s < 16; s++)
        {
            unit.Scales[s] = (short)(block.Scales[s] & 15);
            unit.Mins[s] = (short)(block.Scales[s] >> 4);
        }
    }

    readonly void IAffineBlock<BlockQ2_K>.LoadScales(ref AffineSuperBlock block)
    {
        block.D = D;
        block.DMin = DMin;
        for (int s = 0; s < 16; s++)
        {
            (int scale, int min) = (Scales[s] & 15, Scales[s] >> 4);
            block.Scales[s] = (byte)scale;
            block.Mins[s] = (byte)min;
        }
    }

    void IAffineBlock<BlockQ2_K>.Store(in AffineSuperBlock block)
    {
        D = block.D;
        DMin = block.DMin;
        for (int s = 0; s < 16; s++)
        {
            Scales[s] = (byte)(block.Scales[s] | block.Mins[s] << 4);
        }

        PackedCodes.PackPairs256(block.Codes, Qs);
    }
}
