using System.Runtime.ExceptionServices;

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
    /// <param name="maxThreads">0 or 1 for the calling thread alone, -1 for one per processor.</param>
    /// <param name="createWorker">Makes one of the workers.</param>
    /// <param name="cancellationToken">Looked at before each slice.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    /// <remarks>When slices fail, the exception of the first of them comes through.</remarks>
    public static void Run(QuantShape shape, int maxThreads, Func<ISliceWorker> createWorker, CancellationToken cancellationToken)
    {
        if (shape.TotalWeights == 0)
        {
            return;
        }

        int threads = maxThreads < 0 ? Environment.ProcessorCount : Math.Max(1, maxThreads);
        int rowsPerSlice = RowsPerSlice(shape);
        long slicesPerExpert = (shape.Rows + rowsPerSlice - 1) / rowsPerSlice;
        long slices = checked(slicesPerExpert * shape.Experts);
        long affordable = Math.Max(1, MaxWeightsInFlight / ((long)rowsPerSlice * shape.Columns));
        int inFlight = (int)Math.Min(slices, Math.Min(affordable, threads == 1 ? 1 : (long)threads * SlicesPerThread));
        var workers = new ISliceWorker[inFlight];
        var failures = new ExceptionDispatchInfo?[inFlight];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads };
        try
        {
            for (int i = 0; i < inFlight; i++)
            {
                workers[i] = createWorker();
            }

            for (long first = 0; first < slices; first += inFlight)
            {
                int count = (int)Math.Min(inFlight, slices - first);
                long start = first;
                if (count == 1)
                {
                    Work(start, 0);
                }
                else
                {
                    Parallel.For(0, count, parallel, i => Work(start, i));
                }

                for (int i = 0; i < count; i++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    failures[i]?.Throw();
                    workers[i].Finish(Slice(start + i));
                }
            }
        }
        finally
        {
            foreach (ISliceWorker? worker in workers)
            {
                worker?.Dispose();
            }
        }

        void Work(long start, int i)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return;
            }

            try
            {
                workers[i].Work(Slice(start + i));
            }
            catch (Exception exception)
            {
                failures[i] = ExceptionDispatchInfo.Capture(exception);
            }
        }

        TensorSlice Slice(long number)
        {
            (long expert, long inExpert) = Math.DivRem(number, slicesPerExpert);
            long row = inExpert * rowsPerSlice;
            return new TensorSlice((expert * shape.Rows) + row, (int)Math.Min(rowsPerSlice, shape.Rows - row), expert);
        }
    }
}
