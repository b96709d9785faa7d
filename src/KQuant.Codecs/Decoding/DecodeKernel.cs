namespace KQuant.Codecs.Decoding;

/// <summary>
/// One way to decode one format: <c>Run(source, destination, blocks)</c> reads exactly the bytes of the blocks and writes exactly their
/// weights, at any alignment.
/// </summary>
internal sealed unsafe class DecodeKernel(QuantFormat format, KernelTier tier, delegate*<byte*, float*, nint, void> run)
{
    public QuantFormat Format { get; } = format;

    public KernelTier Tier { get; } = tier;

    public bool IsSupported => KernelTiers.IsSupported(Tier);

    public void Run(byte* source, float* destination, nint blocks) => run(source, destination, blocks);

    public override string ToString() => $"{Format} {Tier}";
}
