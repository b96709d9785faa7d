using KQuant.Codecs;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;

namespace KQuant.Matmul;

/// <summary>
/// Owns what products need between calls: worker threads and scratch memory. Make one per process, or one per group of cores; making one
/// per product defeats its purpose.
/// </summary>
/// <remarks>
/// <para>
/// Any number of threads may multiply through one context at once. Each works on its own product, and workers that have nothing to do
/// help; there are never more threads at work than <see cref="MatmulOptions.MaxDegreeOfParallelism"/> plus the callers beyond that number.
/// </para>
/// <para>
/// After the first product of a size nothing is allocated, neither by the calling thread nor by workers. The scratch memory kept is that
/// of the largest products, for as many of them as ran at once.
/// </para>
/// </remarks>
/// <example>
/// <code>
/// // One for the whole program: it has threads and scratch memory.
/// using var context = new MatmulContext(new MatmulOptions { Activations = ActivationPrecision.Float32 });
/// Console.WriteLine($"q4_k runs on {context.GetTier(QuantCodec.Get(QuantFormat.Q4_K))}");
/// </code>
/// </example>
public sealed class MatmulContext : IDisposable
{
    private readonly WorkerPool _pool;
    private readonly KernelSet _kernels;
    private readonly Workspace?[] _idle;
    private int _products;
    private bool _disposed;

    /// <summary>Starts the threads.</summary>
    /// <param name="options">How to compute; null for the defaults.</param>
    /// <exception cref="ArgumentException">
    /// An option or an environment variable (<c>KQUANT_THREADS</c>, <c>KQUANT_MAX_TIER</c>) has an impossible value.
    /// </exception>
    public MatmulContext(MatmulOptions? options = null)
    {
        Options = options ?? new MatmulOptions();
        _pool = new WorkerPool(Math.Min(Parallelism.Resolve(Options.MaxDegreeOfParallelism), MatmulOptions.ThreadLimit), Options.SpinBeforePark);
        _kernels = new KernelSet(Options.MaxTier, Options.Deterministic);
        _idle = new Workspace?[Math.Max(8, 2 * _pool.Threads)];
    }

    /// <summary>Lets the threads of a context that nobody disposed end.</summary>
    ~MatmulContext() => _pool?.Stop();

    /// <summary>How this context computes.</summary>
    public MatmulOptions Options { get; }

    /// <summary>The threads that work on a product, the calling thread included: what <see cref="MatmulOptions.MaxDegreeOfParallelism"/> came to.</summary>
    public int Threads => _pool.Threads;

    /// <summary>The instruction set that single rows of activations are multiplied with.</summary>
    /// <param name="codec">Codec of the weights.</param>
    /// <returns>The tier.</returns>
    public KernelTier GetTier(QuantCodec codec) => GetKernel(codec, 1).Tier;

    /// <summary>The kernel that a product with so many rows of activations would run.</summary>
    /// <param name="codec">Codec of the weights.</param>
    /// <param name="rows">Activation rows.</param>
    /// <returns>The kernel.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="rows"/> is less than 1.</exception>
    internal MatmulKernel GetKernel(QuantCodec codec, int rows)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return GetKernel(codec, null, rows);
    }

    /// <summary>The kernel that a product with so many rows of activations would run.</summary>
    /// <param name="weights">The weights, packed.</param>
    /// <param name="rows">Activation rows.</param>
    /// <returns>The kernel; for few rows it may be one that reads the tensor the weights were packed from.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="rows"/> is less than 1.</exception>
    internal MatmulKernel GetKernel(PackedTensor weights, int rows)
    {
        ArgumentNullException.ThrowIfNull(weights);
        return GetKernel(weights.Weights.Codec, weights.Kernel, rows);
    }

    /// <summary>
    /// Does what lies between products on the same threads: all pieces of a piece of work, with the calling thread and whoever is idle.
    /// </summary>
    /// <param name="work">The work.</param>
    /// <param name="pieces">How many pieces it has.</param>
    /// <param name="scratchLength">Values of scratch memory that a piece needs.</param>
    /// <param name="isLong">Whether it takes long enough, some 50 µs, to be worth waking threads that sleep.</param>
    /// <param name="cancellationToken">Looked at before every piece.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative.</exception>
    /// <exception cref="ObjectDisposedException">The context was disposed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled; some pieces are not done.</exception>
    internal void Run(
        IParallelWork work, int pieces, int scratchLength = 0, bool isLong = true, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        ArgumentOutOfRangeException.ThrowIfNegative(pieces);
        ArgumentOutOfRangeException.ThrowIfNegative(scratchLength);
        if (pieces == 0)
        {
            return;
        }

        Workspace workspace = Rent();
        try
        {
            workspace.Run(work, pieces, scratchLength, isLong, cancellationToken);
        }
        finally
        {
            Return(workspace);
        }
    }

    /// <summary>
    /// Ends the threads and frees the scratch memory, when the products that are running have ended. Later ones throw
    /// <see cref="ObjectDisposedException"/>.
    /// </summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, true))
        {
            return;
        }

        var wait = default(SpinWait);
        while (Volatile.Read(ref _products) != 0)
        {
            wait.SpinOnce();
        }

        _pool.Dispose();
        foreach (Workspace? workspace in _idle)
        {
            workspace?.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    internal ProductKernel? SelectPacked(QuantCodec codec) => _kernels.Packed(codec);

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);

    /// <summary>A workspace for one product. Give it back, also after a failure.</summary>
    /// <param name="activations">What activations are turned into; null for what the options say.</param>
    internal Workspace Rent(ActivationPrecision? activations = null)
    {
        Workspace workspace = RentIdle();
        workspace.Activations = activations ?? Options.Activations;
        return workspace;
    }

    private Workspace RentIdle()
    {
        Interlocked.Increment(ref _products);
        if (Volatile.Read(ref _disposed))
        {
            Interlocked.Decrement(ref _products);
            ThrowIfDisposed();
        }

        for (int i = 0; i < _idle.Length; i++)
        {
            if (_idle[i] is not null && Interlocked.Exchange(ref _idle[i], null) is { } workspace)
            {
                return workspace;
            }
        }

        return new Workspace(_pool, _kernels);
    }

    /// <summary>Takes a workspace back.</summary>
    internal void Return(Workspace workspace)
    {
        int i = 0;
        while (i < _idle.Length && Interlocked.CompareExchange(ref _idle[i], workspace, null) is not null)
        {
            i++;
        }

        if (i == _idle.Length)
        {
            workspace.Dispose();
        }

        Interlocked.Decrement(ref _products);
    }

    private MatmulKernel GetKernel(QuantCodec codec, ProductKernel? packed, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        return Options.Activations == ActivationPrecision.Int8 && _kernels.Integer(codec, rows, packed) is ProductKernel kernel
            ? new MatmulKernel(codec, kernel.Tier, kernel.Name)
            : new MatmulKernel(codec, _kernels.Float32.Tier, "float");
    }
}
