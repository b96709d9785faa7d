using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// One way to multiply int8 activations by weights of one codec: <c>Outputs[m][n] = sum over k of w[n,k] * x[m,k]</c>. A kernel arranges
/// the activations once per product, in a layout of its own, and then multiplies any range of weight rows.
/// </summary>
internal abstract unsafe class ProductKernel(QuantCodec codec, KernelTier tier, string name)
{
    /// <summary>For a codec that GGML has.</summary>
    protected ProductKernel(QuantFormat format, KernelTier tier, string name)
        : this(QuantCodec.Get(format), tier, name)
    {
    }

    /// <summary>Codec of the weights.</summary>
    public QuantCodec Codec { get; } = codec;

    /// <summary>Instruction set.</summary>
    public KernelTier Tier { get; } = tier;

    /// <summary>What kind of kernel: <c>scalar</c>, <c>row</c>, <c>panel</c>.</summary>
    public string Name { get; } = name;

    /// <summary>Whether this machine runs it.</summary>
    public virtual bool IsSupported => KernelTiers.IsSupported(Tier);

    /// <summary>Whether it takes weights that its <see cref="Pack"/> arranged instead of wire bytes.</summary>
    public virtual bool IsPacked => false;

    /// <summary>Grouping of the activations it takes.</summary>
    public ActivationScheme Scheme { get; } = codec.Integers!.Value.Scheme;

    /// <summary>Whether its results are those of the canonical order: blocks left to right, one fused multiply-add per block and term.</summary>
    public abstract bool IsCanonical { get; }

    /// <summary>The most activation rows it takes in one task.</summary>
    public abstract int MaxRows { get; }

    /// <summary>
    /// The most activation rows for which it is the fastest of its tier, as measured. A property of the kernel and not of a machine, so that
    /// the choice can be relied on.
    /// </summary>
    public virtual int PreferredRows => MaxRows;

    /// <summary>
    /// From how many activation rows on a kernel with <see cref="IsPacked"/> is faster than the one of its tier that reads wire bytes, as measured;
    /// not before panels are if nothing else is said.
    /// </summary>
    public virtual int PackedRows => int.MaxValue;

    /// <summary>Weight rows it works on together; tasks start at multiples of it.</summary>
    public abstract int Granule { get; }

    /// <summary>Bytes that arranged activations take.</summary>
    public abstract nint GetActivationBytes(int rows, int units);

    /// <summary>Scratch bytes a thread needs while it runs a task.</summary>
    public abstract nint GetScratchBytes(int units);

    /// <summary>Arranges activation rows for <see cref="Run"/>.</summary>
    /// <param name="source">Quantized rows in natural order.</param>
    /// <param name="rowIndices">Which rows of the source, <paramref name="rows"/> of them; null for 0, 1, 2, ...</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="destination"><see cref="GetActivationBytes"/> bytes, 64-byte aligned.</param>
    public abstract void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination);

    /// <summary>Multiplies.</summary>
    /// <param name="task">What to multiply.</param>
    /// <param name="scratch"><see cref="GetScratchBytes"/> bytes, 64-byte aligned, of this thread.</param>
    public abstract void Run(in ProductTask task, byte* scratch);

    /// <summary>
    /// Arranges weights for <see cref="Run"/>, once for all products (kernels with <see cref="IsPacked"/> only). Packed rows take as many bytes as
    /// wire rows; their number is rounded up to a multiple of <see cref="Granule"/>, and tasks find row n, a multiple of it, at the same offset.
    /// </summary>
    /// <param name="weights">Wire bytes.</param>
    /// <param name="rowBytes">Bytes of a row, without gaps.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="units">Units of 256 weights per row; the last may be partial.</param>
    /// <param name="tailBlocks">Blocks in the last unit.</param>
    /// <param name="packed">Where they go, 64-byte aligned.</param>
    public virtual void Pack(byte* weights, nint rowBytes, int rows, int units, int tailBlocks, byte* packed) =>
        throw new NotSupportedException($"{this} takes wire bytes.");

    public sealed override string ToString() => $"{Codec.Name} {Tier} {Name}";
}
