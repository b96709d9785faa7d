using KQuant.Codecs;

namespace KQuant.Matmul.Activations;

/// <summary>One way to quantize a row of activations.</summary>
internal sealed unsafe class ActivationQuantizer(KernelTier tier, delegate*<float*, int, in ActivationView, nint, void> run)
{
    public KernelTier Tier { get; } = tier;

    public bool IsSupported => KernelTiers.IsSupported(Tier);

    /// <inheritdoc cref="ScalarQuantizer.Quantize"/>
    public void Quantize(float* x, int count, in ActivationView view, nint row) => run(x, count, view, row);

    public override string ToString() => Tier.ToString();
}

/// <summary>Every activation quantizer there is, best first. All give the same bits, for both schemes.</summary>
internal static unsafe class ActivationQuantizers
{
    public static IReadOnlyList<ActivationQuantizer> All { get; } =
    [
        new(KernelTier.Avx512, &TieredQuantizer<Avx512Quantizer>.Quantize),
        new(KernelTier.Avx2, &TieredQuantizer<Avx2Quantizer>.Quantize),
        new(KernelTier.AdvSimd, &TieredQuantizer<NeonQuantizer>.Quantize),
        new(KernelTier.Vector128, &TieredQuantizer<Vector128Quantizer>.Quantize),
        new(KernelTier.Scalar, &ScalarQuantizer.Quantize),
    ];

    /// <summary>The best quantizer that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static ActivationQuantizer Select(KernelTier maxTier) => All.First(quantizer => quantizer.Tier <= maxTier && quantizer.IsSupported);
}
