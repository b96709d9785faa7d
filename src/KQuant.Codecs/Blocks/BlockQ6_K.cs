using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Blocks;

/// <summary>
/// q6_K: 256 weights in 210 bytes. Sixteen sub-blocks of 16 with a signed 8-bit scale each: <c>w = (d * scale) * (q - 32)</c>.
/// In each half of 128 weights, weight 32 p + l takes its low four bits from byte <c>l + 32 (p % 2)</c> of <c>Ql</c> (low nibbles for p
/// = 0, 1, high ones for p = 2, 3) and its high two from bits 2 p of byte l of <c>Qh</c>. (ggml <c>block_q6_K</c>,
/// <c>dequantize_row_q6_K</c>.)
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 210)]
internal struct BlockQ6_K : IBlockEncoder<BlockQ6_K>
{
    internal Bytes128 Ql;
    internal Bytes64 Qh;
    internal SBytes16 Scales;
    internal Half D;

    /// <inheritdoc/>
    public static QuantFormat? Format => QuantFormat.Q6_K;

    /// <inheritdoc/>
    public static int WeightsPerBlock => 256;

    /// <inheritdoc/>
    public static QuantFormat? Fallback => QuantFormat.Q8_0;

    /// <inheritdoc/>
    public static GgufFileType? FileType => GgufFileType.Q6_K;

    /// <inheritdoc/>
    public static double ErrorLimit => 1.2e-3;

    static ReadOnlySpan<int> IQuantBlock<BlockQ6_K>.ScaleOffsets => [208];

    static IntegerForm? IQuantBlock<BlockQ6_K>.Integers => new IntegerForm(ActivationScheme.Block256, HasMin: false, SubBlock: 16);

    /// <inheritdoc/>
    public readonly bool IsFinite => Half.IsFinite(D);

    /// <inheritdoc/>
    public static void Decode(ReadOnlySpan<BlockQ6_K> source, Span<float> destination)
    {
        for (int b = 0; b < source.Length; b++)
        {
            ref readonly BlockQ6_K block = ref source[b];
            Span<float> w = destination.Slice(b * 256, 256);
            float d = (float)block.D;
            for (int i = 0; i < 256; i++)
            {
                int half = i / 128, plane = i % 128 / 32, l = i % 32;
                int low = (block.Ql[(64 * half) + (plane % 2 * 32) + l] >> (plane / 2 * 4)) & 15;
                int high = (block.Qh[(32 * half) + l] >> (2 * plane)) & 3;
                w[i] = d * block.Scales[i / 16] * ((low | high << 4) - 32);
            }
        }
    }

    /// <inheritdoc/>
    public static void Encode(ReadOnlySpan<float> source, Span<BlockQ6_K> destination, in EncodeOptions options) =>
        BlockEncoder.Encode(source, destination, options);

    static unsafe void IQuantBlock<BlockQ6_K>.Unpack(in BlockQ6_K block, int number, ref WeightUnit unit)
    {
        unit.D[0] = (float)block.D;
        for (int i = 0; i < 256; i++)
        {
            int half = i / 128, plane = i % 128 / 32, l = i % 32;
            int low = (block.Ql[(64 * half) + (plane % 2 * 32) + l] >> (plane / 2 * 4)) & 15;
            int high = (block.Qh[(32 * half) + l] >> (2 * plane)) & 3;
            unit.Codes[i] = (sbyte)((low | high << 4) - 32);
        }

        for (int s = 0; s < 16; s++)
        {
            unit.Scales[s] = block.Scales[s];
        }
    }

    /// <summary>
    /// ggml <c>quantize_row_q6_K_ref</c>: the search of the weighted encoder, the squares of the weights in place of importance.
    /// </summary>
    static void IBlockEncoder<BlockQ6_K>.EncodePlain(ReadOnlySpan<float> row, Span<BlockQ6_K> destination)
    {
        Span<float> squares = stackalloc float[256];
        for (int b = 0; b < destination.Length; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * 256, 256);
            ErrorWeights.Squares(x, squares);
            destination[b].Encode(x, squares);
        }
    }

    /// <summary>ggml <c>quantize_row_q6_K_impl</c>; unlike the other K-quants it takes the importance as it is.</summary>
    static void IBlockEncoder<BlockQ6_K>.EncodeWeighted(
        ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<BlockQ6_K> destination)
    {
        for (int b = 0; b < destination.Length; b++)
        {
            destination[b].Encode(row.Slice(b * 256, 256), importance.Slice(b * 256, 256));
        }
    }

    private void Encode(ReadOnlySpan<float> x, ReadOnlySpan<float> weights)
    {
        Span<float> scales = stackalloc float[16];
        Span<byte> codes = stackalloc byte[256];
        for (int s = 0; s < 16; s++)
        {
            scales[s] = SymmetricFit.Fit(x.Slice(s * 16, 16), weights.Slice(s * 16, 16), 32, codes.Slice(s * 16, 16));
        }

        float extreme = SymmetricFit.Extreme(scales);
        if (MathF.Abs(extreme) < SymmetricFit.Tiny)
        {
            this = default;
            return;
        }

        float inverse = -128 / extreme;
        D = (Half)(1 / inverse);
        for (int s = 0; s < 16; s++)
        {
            Scales[s] = (sbyte)Math.Min(127, Rounding.NearestInt(inverse * scales[s]));
        }

        for (int s = 0; s < 16; s++)
        {
            float scale = (float)D * Scales[s];
            if (scale != 0)
            {
                SymmetricFit.Requantize(x.Slice(s * 16, 16), scale, 32, codes.Slice(s * 16, 16));
            }
        }

        Pack(codes);
    }

    /// <inheritdoc/>
    static BlockQ6_K IBlockEncoder<BlockQ6_K>.Refine(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in BlockQ6_K start)
    {
        SymmetricSuperBlock block = default;
        block.D = start.D;
        block.Scales = start.Scales;
        block.Refine(x, weights, 32, new CodeRange(-128, 127));
        BlockQ6_K refined = default;
        refined.D = block.D;
        refined.Scales = block.Scales;
        refined.Pack(block.Codes);
        return refined;
    }

    internal void Pack(ReadOnlySpan<byte> codes)
    {
        for (int half = 0; half < 2; half++)
        {
            ReadOnlySpan<byte> q = codes.Slice(128 * half, 128);
            for (int l = 0; l < 32; l += 16)
            {
                var q0 = Vector128.Create(q[l..]);
                var q1 = Vector128.Create(q[(l + 32)..]);
                var q2 = Vector128.Create(q[(l + 64)..]);
                var q3 = Vector128.Create(q[(l + 96)..]);
                var low = Vector128.Create((byte)15);
                ((q0 & low) | (q2 << 4)).CopyTo(Ql[((64 * half) + l)..]);
                ((q1 & low) | (q3 << 4)).CopyTo(Ql[((64 * half) + l + 32)..]);
                ((q0 >>> 4) | (q1 >>> 4 << 2) | (q2 >>> 4 << 4) | (q3 >>> 4 << 6)).CopyTo(Qh[((32 * half) + l)..]);
            }
        }
    }
}
