using KQuant.Codecs.Files;

namespace KQuant.Codecs.Planes;

/// <summary>
/// MLX's affine weights: <c>w = code * scale + bias</c>, codes of 2 to 8 bits in a stream, a scale and a bias for each group in planes of their own.
/// A scale may have either sign. (MLX <c>affine_quantize</c>, <c>affine_dequantize</c>.)
/// </summary>
internal sealed unsafe class AffineCodec : PlaneCodec
{
    /// <param name="bits">Bits of a code: 2, 3, 4, 5, 6 or 8.</param>
    /// <param name="groupSize">Weights that share a scale: 32, 64 or 128.</param>
    /// <param name="scaleType">What scales and biases are stored as: F16, BF16 or F32.</param>
    public AffineCodec(int bits, int groupSize, ElementType scaleType)
        : base(
            $"affine{bits}_{groupSize}{(scaleType == ElementType.F16 ? "" : "_" + scaleType.ToString().ToLowerInvariant())}",
            groupSize,
            new() { Name = "weight", BytesPerBlock = groupSize * bits / 8 },
            new() { Name = "scales", BytesPerBlock = scaleType.GetBits() / 8 },
            new() { Name = "biases", BytesPerBlock = scaleType.GetBits() / 8 })
    {
        Bits = bits;
        ScaleType = scaleType;
        Mlx = MlxFormat.Create(MlxMode.Affine, groupSize, bits);
    }

    public int Bits { get; }

    /// <summary>What scales and biases are stored as.</summary>
    public ElementType ScaleType { get; }

    public override MlxFormat Mlx { get; }

    /// <summary>One for each of MLX's sizes.</summary>
    public static IEnumerable<AffineCodec> Create(ElementType scaleType) =>
        from bits in MlxFormat.BitCounts from groupSize in MlxFormat.GroupSizes select new AffineCodec(bits, groupSize, scaleType);

    internal override void DecodePlanes(in PlanePointers source, float* destination, nint blocks)
    {
        int codeBytes = PlaneBytes(0);
        ulong mask = (1UL << Bits) - 1;
        for (nint b = 0; b < blocks; b++)
        {
            float scale = ReadScale(source.Scales, b), bias = ReadScale(source.Biases, b);
            byte* codes = source.Codes + (b * codeBytes);
            for (int i = 0; i < WeightsPerBlock; i += 8, codes += Bits, destination += 8)
            {
                ulong packed = BitStream.Load(codes, Bits);
                for (int j = 0; j < 8; j++)
                {
                    destination[j] = ((packed & mask) * scale) + bias;
                    packed >>= Bits;
                }
            }
        }
    }

    protected override void EncodeRow(ReadOnlySpan<float> row, in PlanePointers destination, in EncodeOptions options)
    {
        byte* codes = stackalloc byte[128];
        for (int b = 0; b < row.Length / WeightsPerBlock; b++)
        {
            ReadOnlySpan<float> x = row.Slice(b * WeightsPerBlock, WeightsPerBlock);
            var group = new Span<byte>(codes, WeightsPerBlock);
            AffineScale exact = AffineGroup.Fit(x, (1 << Bits) - 1);
            AffineScale stored = Round(exact);
            if (!stored.IsFinite && options.Overflow == ScaleOverflow.Error)
            {
                Throw.ScaleOverflow(this, options.FirstRow, b * WeightsPerBlock, x);
            }

            AffineGroup.Quantize(x, exact, (1 << Bits) - 1, group);
            if (stored.IsFinite && (options.Mode == EncodeMode.Best || !options.Importance.IsEmpty))
            {
                ReadOnlySpan<float> importance = options.Importance.IsEmpty ? [] : options.Importance.Slice(b * WeightsPerBlock, WeightsPerBlock);
                AffineGroup.Improve(x, importance, this, ref stored, group);
            }

            WriteScale(destination.Scales, b, stored.Scale);
            WriteScale(destination.Biases, b, stored.Bias);
            BitStream.Pack(codes, WeightsPerBlock, Bits, destination.Codes + (b * PlaneBytes(0)));
        }
    }

    /// <summary>A scale and a bias as a decoder sees them.</summary>
    internal AffineScale Round(AffineScale exact) => ScaleType switch
    {
        ElementType.F16 => new((float)(Half)exact.Scale, (float)(Half)exact.Bias),
        ElementType.BF16 => new((float)(BFloat16)exact.Scale, (float)(BFloat16)exact.Bias),
        _ => exact,
    };

    /// <summary>A scale or a bias.</summary>
    internal float ReadScale(byte* scales, nint number) => ScaleType switch
    {
        ElementType.F16 => (float)((Half*)scales)[number],
        ElementType.BF16 => (float)((BFloat16*)scales)[number],
        _ => ((float*)scales)[number],
    };

    private void WriteScale(byte* scales, nint number, float value)
    {
        switch (ScaleType)
        {
            case ElementType.F16:
                ((Half*)scales)[number] = (Half)value;
                break;
            case ElementType.BF16:
                ((BFloat16*)scales)[number] = (BFloat16)value;
                break;
            default:
                ((float*)scales)[number] = value;
                break;
        }
    }
}
