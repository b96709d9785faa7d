using System.Runtime.InteropServices;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q5_K: 256 weights in 176 bytes. As q4_K with a fifth bit: bit i / 32 of <c>Qh[i % 32]</c> belongs to weight i.
/// (ggml <c>block_q5_K</c>, <c>dequantize_row_q5_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 176)]
internal struct BlockQ5_K : IAffineBlock<BlockQ5_K>
{
    internal Half D;
    internal Half DMin;
    internal Bytes12 Scales;
    internal Bytes32 Qh;
    internal Bytes128 Qs;

    static AffineLayout IAffineBlock<BlockQ5_K>.Layout => new(32, 63, new AffineSearch(31, -0.5f, 0.1f, 15), WeighsBySpread: true, PowerFactor: 2);

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q5_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static QuantFormat? Fallback => QuantFormat.Q5_1;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q5_K_M;

    /// <inheritdoc/>
    public static double ErrorLimit => 5e-3;

    static ReadOnlySpan<int> IQuantBlock<BlockQ5_K>.ScaleOffsets => [0, 2];

    static IntegerForm? IQuantBlock<BlockQ5_K>.Integers => new IntegerForm(ActivationScheme.Block256, HasMin: true);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D) && Half.IsFinite(DMin);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ5_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ5_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            float dmin = (float)block.DMin;
            for (int i = 0; i < 256; i++)
            {
                int sub = i / 32, l = i % 32;
                int q = (block.Qs[(sub / 2 * 32) + l] >> (sub % 2 * 4)) & 15;
                q |= ((block.Qh[l] >> sub) & 1) << 4;
                (int scale, int min) = PackedScales.Q4(block.Scales, sub);
                w[i] = (d * scale * q) - (dmin * min);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ5_K> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ5_K>.Unpack(in BlockQ5_K block, int number, ref WeightUnit unit)
    {
        unit.D[0] = (float)block.D;
        unit.M[0] = (float)block.DMin;
        for (int i = 0; i < 256; i++)
        {
            int low = (block.Qs[(i / 64 * 32) + (i % 32)] >> (i / 32 % 2 * 4)) & 15;
            int high = (block.Qh[i % 32] >> (i / 32)) & 1;
            unit.Codes[i] = (sbyte)(low | high << 4);
        }

        for (int s = 0; s < 8; s++)
        {
            (int scale, int min) = PackedScales.Q4(block.Scales, s);
            unit.Scales[s] = (short)scale;
            unit.Mins[s] = (short)min;
        }
    }

    readonly void IAffineBlock<BlockQ5_K>.LoadScales(ref AffineSuperBlock block)
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

    void IAffineBlock<BlockQ5_K>.Store(in AffineSuperBlock block)
    {
        D = block.D;
        DMin = block.DMin;
        PackedScales.PackQ4(block.Scales, block.Mins, Scales);
        PackedCodes.PackBit256(block.Codes, 4, Qh);
        PackedCodes.PackNibbles256(block.Codes, Qs);
    }
}
