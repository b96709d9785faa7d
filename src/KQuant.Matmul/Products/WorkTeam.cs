using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>What every step of a product is run with: the threads, the calling thread's scratch, and the kernels to choose from.</summary>
internal sealed class WorkTeam(WorkerPool pool, KernelSet kernels) : IDisposable
{
    private readonly AlignedBuffer _scratch = new();

    /// <summary>The kernels to use.</summary>
    public KernelSet Kernels => kernels;

    /// <summary>The most threads a piece of work can have.</summary>
    public int MaxThreads => pool.Threads;

    /// <summary>Runs pieces of work on this call's threads.</summary>
    public void Run(ParallelWork work, int pieces, int threads, bool wake, CancellationToken cancellation) =>
        pool.Run(work, pieces, threads, wake, _scratch, cancellation);

    public void Dispose() => _scratch.Dispose();
}
