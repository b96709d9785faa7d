using System.Runtime.ExceptionServices;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Conversion;

/// <summary>A run of whole rows of one expert.</summary>
/// <param name="FirstRow">The first row, counted over all experts.</param>
/// <param name="Rows">The number of rows, at least 1.</param>
/// <param name="Expert">The expert they belong to.</param>
internal readonly record struct TensorSlice(long FirstRow, int Rows, long Expert);

/// <summary>What one thread needs to work on a slice, and where it leaves the result until its turn comes.</summary>
internal interface ISliceWorker : IDisposable
{
    /// <summary>Works on a slice, on any thread.</summary>
    void Work(TensorSlice slice);

    /// <summary>Hands the result over, on the calling thread, slice by slice in order.</summary>
    void Finish(TensorSlice slice);
}

/// <summary>
/// Runs through a tensor of any size in slices that fit into a cache. Several threads work, the results come in order, and memory is that
/// of the workers: how a tensor is cut does not depend on their number, so neither do the results.
/// </summary>
internal static class TensorSlices
{
    private const int WeightsPerSlice = 1 << 17;
    private const int SlicesPerThread = 4;

    /// <summary>Weights in the buffers of all workers together, about; one slice may take more.</summary>
    private const int MaxWeightsInFlight = 1 << 23;

    /// <summary>The longest slice of a tensor, in rows.</summary>
    /// <param name="shape">The tensor's shape.</param>
    /// <returns>At least 1, at most the rows of one expert unless these are 0.</returns>
    public static int RowsPerSlice(QuantShape shape) =>
        (int)Math.Clamp(WeightsPerSlice / Math.Max(1, shape.Columns), 1, Math.Max(1, shape.Rows));

    /// <summary>Runs through a tensor.</summary>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="maxDegreeOfParallelism">-1 for one thread per processor, a positive number for at most so many.</param>
    /// <param name="createWorker">Makes one of the workers.</param>
    /// <param name="cancellationToken">Looked at before each slice.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    /// <remarks>When slices fail, the exception of the first of them comes through.</remarks>
    public static void Run(QuantShape shape, int maxDegreeOfParallelism, Func<ISliceWorker> createWorker, CancellationToken cancellationToken)
    {
        if (shape.TotalWeights == 0)
        {
            return;
        }

        int threads = Parallelism.Resolve(maxDegreeOfParallelism);
        int rowsPerSlice = RowsPerSlice(shape);
        long slicesPerExpert = (shape.Rows + rowsPerSlice - 1) / rowsPerSlice;
        long slices = checked(slicesPerExpert * shape.Experts);
        long affordable = Math.Max(1, MaxWeightsInFlight / ((long)rowsPerSlice * shape.Columns));
        int inFlight = (int)Math.Min(slices, Math.Min(affordable, threads == 1 ? 1 : (long)threads * SlicesPerThread));
        var run = new SliceWork(shape, rowsPerSlice, slicesPerExpert, inFlight, cancellationToken);
        using var scratch = new AlignedBuffer();
        try
        {
            for (int i = 0; i < inFlight; i++)
            {
                run.Workers[i] = createWorker();
            }

            for (long first = 0; first < slices; first += inFlight)
            {
                int count = (int)Math.Min(inFlight, slices - first);
                run.First = first;
                if (threads == 1)
                {
                    run.RunAlone(count, scratch, CancellationToken.None);
                }
                else
                {
                    WorkerPool.Shared.Run(run, count, threads, wake: true, scratch, CancellationToken.None);
                }

                for (int i = 0; i < count; i++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    run.HandOver(i);
                }
            }
        }
        finally
        {
            foreach (ISliceWorker? worker in run.Workers)
            {
                worker?.Dispose();
            }
        }
    }

    // Slices that are worked on at once. A failure waits for its turn: the first slice that fails is the one that is reported.
    private sealed class SliceWork(QuantShape shape, int rowsPerSlice, long slicesPerExpert, int inFlight, CancellationToken cancellation) : ParallelWork
    {
        private readonly ExceptionDispatchInfo?[] _failures = new ExceptionDispatchInfo?[inFlight];

        /// <summary>One for each slice in flight.</summary>
        public ISliceWorker[] Workers { get; } = new ISliceWorker[inFlight];

        /// <summary>The slice of the first worker.</summary>
        public long First { get; set; }

        /// <summary>Hands a result over, or throws what its worker met.</summary>
        public void HandOver(int i)
        {
            _failures[i]?.Throw();
            Workers[i].Finish(Slice(First + i));
        }

        protected override void RunPiece(int piece, AlignedBuffer scratch)
        {
            if (cancellation.IsCancellationRequested)
            {
                return;
            }

            try
            {
                Workers[piece].Work(Slice(First + piece));
            }
            catch (Exception exception)
            {
                _failures[piece] = ExceptionDispatchInfo.Capture(exception);
            }
        }

        private TensorSlice Slice(long number)
        {
            (long expert, long inExpert) = Math.DivRem(number, slicesPerExpert);
            long row = inExpert * rowsPerSlice;
            return new TensorSlice((expert * shape.Rows) + row, (int)Math.Min(rowsPerSlice, shape.Rows - row), expert);
        }
    }
}
