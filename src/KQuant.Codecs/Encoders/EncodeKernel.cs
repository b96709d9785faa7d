namespace KQuant.Codecs.Encoders;

/// <summary>One way to write the bytes of ggml's encoders for one format: <c>Run(task)</c>, with importance or without.</summary>
internal sealed unsafe class EncodeKernel(QuantCodec codec, KernelTier tier, delegate*<in EncodeTask, void> run)
{
    public EncodeKernel(QuantFormat format, KernelTier tier, delegate*<in EncodeTask, void> run)
        : this(QuantCodec.Get(format), tier, run)
    {
    }

    public QuantCodec Codec { get; } = codec;

    public KernelTier Tier { get; } = tier;

    public bool IsSupported => KernelTiers.IsSupported(Tier);

    public void Run(in EncodeTask task) => run(task);

    public override string ToString() => $"{Codec.Name} {Tier}";
}
