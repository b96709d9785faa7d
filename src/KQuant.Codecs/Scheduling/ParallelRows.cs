using System.Runtime.ExceptionServices;

namespace KQuant.Codecs.Scheduling;

/// <summary>Work on numbered rows that do not depend on each other.</summary>
internal interface IRowJob
{
    /// <summary>Does some rows, on any thread. When rows fail, the exception is that of the first of them.</summary>
    void Run(int first, int count);
}

/// <summary>Spreads rows over threads. What is done, and which error is reported, does not depend on their number.</summary>
internal static class ParallelRows
{
    /// <summary>Runs every row of a job.</summary>
    /// <param name="job">The work.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="rowsPerTurn">Rows that a thread takes at once.</param>
    /// <param name="maxDegreeOfParallelism">-1 for one thread per processor, a positive number for at most so many.</param>
    /// <param name="cancellationToken">Looked at before each turn.</param>
    /// <exception cref="OperationCanceledException">Cancelled before all rows were done.</exception>
    /// <remarks>The exception of the lowest failing row comes through; rows above it may or may not have been done.</remarks>
    public static void Run<TJob>(TJob job, int rows, int rowsPerTurn, int maxDegreeOfParallelism, CancellationToken cancellationToken)
        where TJob : struct, IRowJob
    {
        int turns = (int)(((long)rows + rowsPerTurn - 1) / rowsPerTurn);
        int threads = Math.Min(Parallelism.Resolve(maxDegreeOfParallelism), turns);
        if (threads > 1)
        {
            new Team<TJob>(job, rows, rowsPerTurn, cancellationToken).Run(threads);
            return;
        }

        for (int row = 0; row < rows; row += Math.Min(rowsPerTurn, rows - row))
        {
            cancellationToken.ThrowIfCancellationRequested();
            job.Run(row, Math.Min(rowsPerTurn, rows - row));
        }
    }

    private sealed class Team<TJob>(TJob job, int rows, int rowsPerTurn, CancellationToken cancellationToken) : ParallelWork
        where TJob : struct, IRowJob
    {
        private readonly Lock _failureLock = new();
        private readonly TJob _job = job;
        private ExceptionDispatchInfo? _failure;
        private long _nextRow;
        private int _failedTurn = int.MaxValue;

        public void Run(int threads)
        {
            // A piece takes turns until none is left: so turns are handed out in order, which pieces of the pool are not.
            using var scratch = new AlignedBuffer();
            WorkerPool.Shared.Run(this, threads, threads, wake: true, scratch, CancellationToken.None);
            cancellationToken.ThrowIfCancellationRequested();
            _failure?.Throw();
        }

        protected override void RunPiece(int piece, AlignedBuffer scratch) => TakeTurns();

        private void TakeTurns()
        {
            while (true)
            {
                long first = Interlocked.Add(ref _nextRow, rowsPerTurn) - rowsPerTurn;

                // Turns are handed out in order, so every row below a failed one is done or in somebody's hands.
                if (first >= rows
                    || first > Volatile.Read(ref _failedTurn)
                    || cancellationToken.IsCancellationRequested
                    || !TryRun((int)first, (int)Math.Min(rowsPerTurn, rows - first)))
                {
                    return;
                }
            }
        }

        private bool TryRun(int first, int count)
        {
            try
            {
                _job.Run(first, count);
                return true;
            }
            catch (Exception exception)
            {
                lock (_failureLock)
                {
                    if (first < _failedTurn)
                    {
                        _failure = ExceptionDispatchInfo.Capture(exception);
                        Volatile.Write(ref _failedTurn, first);
                    }
                }

                return false;
            }
        }
    }
}
