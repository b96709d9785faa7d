namespace KQuant.Codecs.Decoding;

/// <summary>
/// One way to decode one format: <c>Run(source, destination, blocks)</c> reads exactly the bytes of the blocks and writes exactly their
/// weights, at any alignment.
/// </summary>
/// <remarks>
/// The functions in the table may count on one block at least. Their loops test at the end: in this shape the JIT moves constants out of
/// loops of any length. They are compiled for speed at once, because vector code that is not takes fifty times as long.
/// </remarks>
internal sealed unsafe class DecodeKernel(QuantCodec codec, KernelTier tier, delegate*<byte*, float*, nint, void> run)
{
    private readonly delegate*<QuantCodec, in PlanePointers, float*, nint, void> _runPlanes;

    public DecodeKernel(QuantFormat format, KernelTier tier, delegate*<byte*, float*, nint, void> run)
        : this(QuantCodec.Get(format), tier, run)
    {
    }

    /// <summary>For a codec with several planes, whose parameters the function asks it for.</summary>
    public DecodeKernel(QuantCodec codec, KernelTier tier, delegate*<QuantCodec, in PlanePointers, float*, nint, void> run)
        : this(codec, tier, (delegate*<byte*, float*, nint, void>)null) => _runPlanes = run;

    public QuantCodec Codec { get; } = codec;

    public KernelTier Tier { get; } = tier;

    public bool IsSupported => KernelTiers.IsSupported(Tier);

    public void Run(byte* source, float* destination, nint blocks)
    {
        if (blocks > 0)
        {
            run(source, destination, blocks);
        }
    }

    /// <summary>Decodes blocks of a codec with any number of planes.</summary>
    public void Run(in PlanePointers source, float* destination, nint blocks)
    {
        if (Codec.Planes.Length == 1)
        {
            Run(source.Codes, destination, blocks);
        }
        else if (blocks > 0)
        {
            _runPlanes(Codec, source, destination, blocks);
        }
    }

    public override string ToString() => $"{Codec.Name} {Tier}";
}
