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
