using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// One way to multiply int8 activations by weights of one format: <c>Outputs[m][n] = sum over k of w[n,k] * x[m,k]</c>. A kernel arranges
/// the activations once per product, in a layout of its own, and then multiplies any range of weight rows.
/// </summary>
internal abstract unsafe class ProductKernel(QuantFormat format, KernelTier tier, string name)
{
    /// <summary>Format of the weights.</summary>
    public QuantFormat Format { get; } = format;

    /// <summary>Instruction set.</summary>
    public KernelTier Tier { get; } = tier;

    /// <summary>What kind of kernel: <c>scalar</c>, <c>row</c>, <c>panel</c>.</summary>
    public string Name { get; } = name;

    /// <summary>Whether this machine runs it.</summary>
    public bool IsSupported => KernelTiers.IsSupported(Tier);

    /// <summary>Grouping of the activations it takes.</summary>
    public ActivationScheme Scheme { get; } =
        QuantCodec.Get(format).WeightsPerBlock == 256 ? ActivationScheme.Block256 : ActivationScheme.Block32;

    /// <summary>Whether its results are those of the canonical order: blocks left to right, one fused multiply-add per block and term.</summary>
    public abstract bool IsCanonical { get; }

    /// <summary>The most activation rows it takes in one task.</summary>
    public abstract int MaxRows { get; }

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

    public sealed override string ToString() => $"{QuantCodec.Get(Format).Name} {Tier} {Name}";
}
