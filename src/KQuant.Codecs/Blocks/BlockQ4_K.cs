using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q4_K: 256 weights in 144 bytes. Eight sub-blocks of 32 with a 6-bit scale and minimum each: <c>w = (d * scale) * q - dmin * min</c>.
/// Each run of 32 code bytes holds one sub-block in its low and the next in its high nibbles.
/// (ggml <c>block_q4_K</c>, <c>dequantize_row_q4_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 144)]
internal struct BlockQ4_K : IAffineBlock<BlockQ4_K>
{
    internal Half D;
    internal Half DMin;
    internal Bytes12 Scales;
    internal Bytes128 Qs;

    static AffineLayout IAffineBlock<BlockQ4_K>.Layout => new(32, 63, new AffineSearch(15, -1f, 0.1f, 20), WeighsBySpread: true, PowerFactor: 2);

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q4_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static QuantFormat? Fallback => QuantFormat.Q5_0;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q4_K_M;

    /// <inheritdoc/>
    public static double ErrorLimit => 0.02;

    static ReadOnlySpan<int> IQuantBlock<BlockQ4_K>.ScaleOffsets => [0, 2];

    static IntegerForm? IQuantBlock<BlockQ4_K>.Integers => new IntegerForm(ActivationScheme.Block256, HasMin: true);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(DMin);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ4_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ4_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            float dmin = (float)block.DMin;
            for (int i = 0; i < 256; i++)
            {
                int sub = i / 32, l = i % 32;
                int q = (block.Qs[(sub / 2 * 32) + l] >> (sub % 2 * 4)) & 15;
                (int scale, int min) = PackedScales.Q4(block.Scales, sub);
                w[i] = (d * scale * q) - (dmin * min);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ4_K> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ4_K>.Unpack(in BlockQ4_K block, int number, ref WeightUnit unit)
    {
        unit.D[0] = (float)block.D;
        unit.M[0] = (float)block.DMin;
        for (int i = 0; i < 256; i++)
        {
            unit.Codes[i] = (sbyte)((block.Qs[(i / 64 * 32) + (i % 32)] >> (i / 32 % 2 * 4)) & 15);
        }

        for (int s = 0; s < 8; s++)
        {
            (int scale, int min) = PackedScales.Q4(block.Scales, s);
            unit.Scales[s] = (short)scale;
            unit.Mins[s] = (short)min;
        }
    }

    readonly void IAffineBlock<BlockQ4_K>.LoadScales(ref AffineSuperBlock block)
    {
        block.D = D;
        block.DMin = DMin;
        for (int s = 0; s < 8; s++)
        {
            (int scale, int min) = PackedScales.Q4(Scales, s);
            block.Scales[s] = (byte)scale;
            block.Mins[s] = (byte)min;
        }
    }

    void IAffineBlock<BlockQ4_K>.Store(in AffineSuperBlock block)
    {
        D = block.D;
        DMin = block.DMin;
        PackedScales.PackQ4(block.Scales, block.Mins, Scales);
        PackedCodes.PackNibbles256(block.Codes, Qs);
    }
}
