using KQuant.Matmul.Activations;
using KQuant.Matmul.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>
/// Everything that one product needs while it runs: lists, quantized activations, the calling thread's scratch. A context keeps them and
/// gives each call one of its own.
/// </summary>
internal sealed unsafe class Workspace(WorkerPool pool, KernelSet kernels, ActivationPrecision activations) : IDisposable
{
    private readonly AlignedBuffer _scratch = new();
    private readonly QuantizeWork _quantize = new();
    private readonly IntegerWork _integer = new();
    private readonly PackWork _pack = new();
    private readonly FloatWork _float = new();
    private readonly TransposedWork _transposed = new();
    private readonly CopyWork _copy = new();

    /// <summary>The kernels to use.</summary>
    public KernelSet Kernels => kernels;

    /// <summary>The most threads a piece of work can have.</summary>
    public int MaxThreads => pool.Threads;

    /// <summary>Which rows meet which matrix; set before a product is run.</summary>
    public RowPlan Plan { get; } = new();

    /// <summary>Indices of a gather.</summary>
    public GatherPairs Pairs { get; } = new();

    /// <summary>The sums of a gather's gradient.</summary>
    public ScatterWork Scatter { get; } = new();

    /// <summary><c>y = x W^T</c> for every group of the plan.</summary>
    public void Multiply(in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        if (activations == ActivationPrecision.Float32 || !weights.Codec.IsQuantized)
        {
            MultiplyInFloat(weights, x, cancellation);
            return;
        }

        ActivationScheme scheme = weights.Codec.WeightsPerBlock == 256 ? ActivationScheme.Block256 : ActivationScheme.Block32;
        _quantize.Run(x, Plan, scheme, this, cancellation);
        _integer.Run(weights, _quantize.View, Plan, this, cancellation);
        _copy.Run(Plan, weights.Rows, this, cancellation);
    }

    /// <summary>The same in float32, whatever the options say.</summary>
    public void MultiplyInFloat(in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        _pack.Run(x, Plan, needsPadding: true, this, cancellation);
        _float.Run(weights, _pack.Rows, Plan, this, cancellation);
        _copy.Run(Plan, weights.Rows, this, cancellation);
    }

    /// <summary><c>y = x W</c> for every group of the plan, in float32.</summary>
    public void MultiplyTransposed(in WeightStack weights, in RowSource x, CancellationToken cancellation)
    {
        _pack.Run(x, Plan, needsPadding: false, this, cancellation);
        _transposed.Run(weights, _pack.Rows, Plan, this, cancellation);
        _copy.Run(Plan, weights.Columns, this, cancellation);
    }

    /// <summary>Runs pieces of work on this call's threads.</summary>
    public void Run(ParallelWork work, int pieces, int threads, bool wake, CancellationToken cancellation) =>
        pool.Run(work, pieces, threads, wake, _scratch, cancellation);

    public void Dispose()
    {
        _scratch.Dispose();
        _quantize.Dispose();
        _integer.Dispose();
        _pack.Dispose();
        _float.Dispose();
        _transposed.Dispose();
        Plan.Dispose();
        Pairs.Dispose();
        Scatter.Dispose();
    }
}
