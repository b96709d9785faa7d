namespace KQuant.Codecs.Decoding;

/// <summary>One way to round floats to bfloat16: <c>Run(source, destination, count)</c>.</summary>
internal sealed unsafe class RoundKernel(KernelTier tier, delegate*<float*, ushort*, nint, void> run)
{
    public KernelTier Tier { get; } = tier;

    public bool IsSupported => KernelTiers.IsSupported(Tier);

    public void Run(float* source, ushort* destination, nint count) => run(source, destination, count);

    public override string ToString() => $"BFloat16 {Tier}";
}
