using System.Runtime.Intrinsics;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Planes;

/// <summary>
/// What MLX's modes with small floats have in common: <c>w = value * scale</c>, the values 4- or 8-bit floats, the scales 8 bits in a plane of their
/// own. MLX's rule is that of its kernels for GPUs, in float32 whatever the weights were; its processor path rounds in their type.
/// (MLX <c>fp_quantize</c>, <c>fp_dequantize</c>.)
/// </summary>
internal abstract unsafe class FloatCodec : PlaneCodec
{
    private readonly MlxFormat _format;

    protected FloatCodec(string name, MlxFormat format)
        : base(
            name,
            format.GroupSize,
            new() { Name = "weight", BytesPerBlock = format.GroupSize * format.Bits / 8 },
            new() { Name = "scales", BytesPerBlock = 1 }) => _format = format;

    public override MlxFormat Mlx => _format;

    /// <summary>The largest scale code that the search tries.</summary>
    protected abstract int LargestScale { get; }

    /// <summary>How many scale codes below and above MLX's the search tries.</summary>
    protected abstract (int Below, int Above) SearchedScales { get; }

    private bool IsFourBits => _format.Bits == 4;

    private ReadOnlySpan<float> Values => IsFourBits ? Float4.Values : Float8.E4M3;

    internal override void DecodePlanes(in PlanePointers source, float* destination, nint blocks)
    {
        ReadOnlySpan<float> values = Values;
        for (nint b = 0; b < blocks; b++)
        {
            float scale = DecodeScale(source.Scales[b]);
            byte* codes = source.Codes + (b * PlaneBytes(0));
            for (int i = 0; i < WeightsPerBlock; i++)
            {
                int code = IsFourBits ? codes[i / 2] >> (i % 2 * 4) & 15 : codes[i];
                destination[(b * WeightsPerBlock) + i] = values[code] * scale;
            }
        }
    }

    /// <summary>What a scale code means.</summary>
    protected abstract float DecodeScale(byte code);

    /// <summary>What weights are multiplied with to be values of a scale that is not 0.</summary>
    protected abstract float EncodeFactor(byte code);

    /// <summary>MLX's scale for the largest magnitude in a group.</summary>
    protected abstract byte ChooseScale(float largest);

    protected override void EncodeRow(ReadOnlySpan<float> row, in PlanePointers destination, in EncodeOptions options)
    {
        byte* codes = stackalloc byte[32];
        var group = new Span<byte>(codes, WeightsPerBlock);
        for (int b = 0; b < row.Length / WeightsPerBlock; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * WeightsPerBlock, WeightsPerBlock);
            byte scale = ChooseScale(Largest(x));
            if (options.Mode == EncodeMode.Best || !options.Importance.IsEmpty)
            {
                ReadOnlySpan<float> importance = options.Importance.IsEmpty ? [] : options.Importance.Slice(b * WeightsPerBlock, WeightsPerBlock);
                scale = Search(x, importance, scale, group);
            }

            Quantize(x, scale, group);
            destination.Scales[b] = scale;
            BitStream.Pack(codes, WeightsPerBlock, _format.Bits, destination.Codes + (b * PlaneBytes(0)));
        }
    }

    private static float Largest(ReadOnlySpan<float> x)
    {
        Vector512<float> largest = Vector512.Abs(Vector512.Create(x));
        if (x.Length > 16)
        {
            largest = Vector512.Max(largest, Vector512.Abs(Vector512.Create(x[16..])));
        }

        Vector256<float> eight = Vector256.Max(largest.GetLower(), largest.GetUpper());
        Vector128<float> four = Vector128.Max(eight.GetLower(), eight.GetUpper());
        return MathF.Max(MathF.Max(four[0], four[1]), MathF.Max(four[2], four[3]));
    }

    private void Quantize(ReadOnlySpan<float> x, byte scaleCode, Span<byte> codes)
    {
        Vector512<float> inverse = Vector512.Create(DecodeScale(scaleCode) == 0 ? 0 : EncodeFactor(scaleCode));
        for (int i = 0; i < x.Length; i += 16)
        {
            Vector512<float> values = Vector512.Create(x[i..]) * inverse;
            Vector512<uint> wide = IsFourBits ? Float4.Encode(values) : Float8.EncodeE4M3(values);
            Vector256<ushort> narrow = Vector256.Narrow(wide.GetLower(), wide.GetUpper());
            Vector128.Narrow(narrow.GetLower(), narrow.GetUpper()).CopyTo(codes[i..]);
        }
    }

    /// <summary>The scale with the lowest weighted squared error near MLX's, which stays unless another is better as decoded.</summary>
    private byte Search(ReadOnlySpan<float> x, ReadOnlySpan<float> importance, byte start, Span<byte> codes)
    {
        (int below, int above) = SearchedScales;
        byte best = start;
        (double Error, double TieBreak) least = Error(x, importance, start, codes);
        for (int scale = Math.Max(0, start - below); scale <= Math.Min(LargestScale, start + above); scale++)
        {
            (double Error, double TieBreak) error = Error(x, importance, (byte)scale, codes);
            if (error.Error <= least.Error && error.TieBreak < least.TieBreak)
            {
                (best, least) = ((byte)scale, error);
            }
        }

        return best;
    }

    private (double Error, double TieBreak) Error(ReadOnlySpan<float> x, ReadOnlySpan<float> importance, byte scaleCode, Span<byte> codes)
    {
        Quantize(x, scaleCode, codes);
        ReadOnlySpan<float> values = Values;
        float scale = DecodeScale(scaleCode);
        double error = 0, tieBreak = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double difference = (double)x[i] - (values[codes[i]] * scale), square = difference * difference;
            error += importance.IsEmpty ? square : importance[i] * square;
            tieBreak += importance.IsEmpty ? square : (importance[i] + 1e-30) * square;
        }

        return (error, tieBreak);
    }
}
