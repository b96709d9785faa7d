using System.Diagnostics;

namespace KQuant.Codecs.Scheduling;

/// <summary>
/// Threads that wait for work: first spinning, because the next product of a model follows within microseconds, then parked. Every caller
/// works on its own job and idle workers come to help; so several callers never wait for one another, and a caller is never stuck behind
/// a worker that the system does not run.
/// </summary>
/// <remarks>
/// With c callers at once, only <c>Threads - c</c> workers help: the machine is not given more threads than it was meant to have. Once
/// there are as many callers as threads each runs alone, which costs nothing.
/// </remarks>
internal sealed class WorkerPool : IDisposable
{
    private readonly Worker[] _workers;
    private readonly ParallelWork?[] _jobs;
    private readonly long _spinTicks;
    private int _news;
    private int _callers;
    private volatile bool _stopping;

    /// <param name="threads">Threads in all: one less is started, callers are the others.</param>
    /// <param name="spin">How long a worker that finds nothing spins before it parks.</param>
    public WorkerPool(int threads, TimeSpan spin)
    {
        Threads = threads;
        _spinTicks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
        _workers = new Worker[threads - 1];
        _jobs = new ParallelWork?[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Worker(this, i);
        }
    }

    /// <summary>
    /// The pool of this process for work that nobody brought threads for: encoding, conversion, comparison. One thread for each processor, started
    /// when it is first asked for; they sleep at once when there is nothing to do, because what follows reads a file before it needs them again.
    /// </summary>
    public static WorkerPool Shared => OfProcess.Pool;

    /// <summary>The most threads that work at once, callers included.</summary>
    public int Threads { get; }

    /// <summary>Does all pieces of a job, with the calling thread and whoever is idle, and returns when they are done.</summary>
    /// <param name="work">The job.</param>
    /// <param name="pieces">How many pieces it has.</param>
    /// <param name="maxThreads">The most threads it is worth, the caller included.</param>
    /// <param name="wake">Whether it is worth waking parked threads; those that spin always come.</param>
    /// <param name="scratch">The calling thread's scratch memory.</param>
    /// <param name="cancellation">Looked at before every piece.</param>
    /// <exception cref="OperationCanceledException">It was cancelled; some pieces are not done.</exception>
    public void Run(ParallelWork work, int pieces, int maxThreads, bool wake, AlignedBuffer scratch, CancellationToken cancellation)
    {
        int helpers = Math.Min(Math.Min(Threads, maxThreads), pieces) - 1;
        if (_workers.Length == 0)
        {
            work.RunAlone(pieces, scratch, cancellation);
            return;
        }

        // Callers that run alone count too: they occupy a core.
        Interlocked.Increment(ref _callers);
        try
        {
            if (helpers > 0)
            {
                RunTogether(work, pieces, helpers, wake, scratch, cancellation);
            }
            else
            {
                work.RunAlone(pieces, scratch, cancellation);
            }
        }
        finally
        {
            if (Interlocked.Decrement(ref _callers) > 0)
            {
                // A worker that was one too many may help the others now, if it is still awake.
                Interlocked.Increment(ref _news);
            }
        }
    }

    /// <summary>Ends the threads. Nothing may be running.</summary>
    public void Dispose()
    {
        Stop();
        foreach (Worker worker in _workers)
        {
            worker.Dispose();
        }
    }

    /// <summary>Tells the threads to end without waiting for them.</summary>
    public void Stop()
    {
        _stopping = true;
        Interlocked.Increment(ref _news);
        foreach (Worker worker in _workers)
        {
            worker.WakeIfParked();
        }
    }

    private void RunTogether(
        ParallelWork work, int pieces, int helpers, bool wake, AlignedBuffer scratch, CancellationToken cancellation)
    {
        work.Start(pieces, helpers, cancellation);
        int slot = Publish(work, wake);
        work.Participate(0, scratch);
        if (slot >= 0)
        {
            Volatile.Write(ref _jobs[slot], null);
        }

        work.Finish();
    }

    private int Publish(ParallelWork work, bool wake)
    {
        for (int slot = 0; slot < _jobs.Length; slot++)
        {
            if (_jobs[slot] is null && Interlocked.CompareExchange(ref _jobs[slot], work, null) is null)
            {
                Interlocked.Increment(ref _news);
                if (wake && work.WantsHelpers)
                {
                    WakeTwo();
                }

                return slot;
            }
        }

        return -1;
    }

    // Waking takes the waker about ten microseconds per thread, so everyone who wakes up wakes two more as long as there is work for them.
    private void WakeTwo()
    {
        int woken = 0;
        for (int i = 0; i < _workers.Length && woken < 2 && MayHelp(i); i++)
        {
            woken += _workers[i].WakeIfParked() ? 1 : 0;
        }
    }

    private bool MayHelp(int worker) => worker + Volatile.Read(ref _callers) < Threads;

    private bool AnyJobWantsHelpers()
    {
        foreach (ref ParallelWork? job in _jobs.AsSpan())
        {
            if (Volatile.Read(ref job) is { WantsHelpers: true })
            {
                return true;
            }
        }

        return false;
    }

    private bool TryHelp(int worker, AlignedBuffer scratch)
    {
        foreach (ref ParallelWork? job in _jobs.AsSpan())
        {
            if (Volatile.Read(ref job) is { } work && MayHelp(worker) && work.TryJoin(out int share))
            {
                work.Participate(share, scratch);
                work.Leave();
                return true;
            }
        }

        return false;
    }

    // A type of its own: contexts that have their own threads must not start these.
    private static class OfProcess
    {
        public static readonly WorkerPool Pool = new(Environment.ProcessorCount, TimeSpan.Zero);
    }

    private sealed class Worker : IDisposable
    {
        private readonly WorkerPool _pool;
        private readonly int _index;
        private readonly AlignedBuffer _scratch = new();
        private readonly AutoResetEvent _wake = new(false);
        private readonly Thread _thread;
        private int _parked;

        public Worker(WorkerPool pool, int index)
        {
            _pool = pool;
            _index = index;
            _thread = new Thread(Loop) { IsBackground = true, Name = $"KQuant worker {index + 1}" };
            _thread.Start();
        }

        public bool WakeIfParked()
        {
            bool parked = Volatile.Read(ref _parked) != 0 && Interlocked.Exchange(ref _parked, 0) != 0;
            if (parked)
            {
                _wake.Set();
            }

            return parked;
        }

        public void Dispose()
        {
            _thread.Join();
            _wake.Dispose();
        }

        private void Loop()
        {
            while (true)
            {
                // Read before looking for work and for the end: whatever is published after this changes it, and nobody sleeps through it.
                int news = Volatile.Read(ref _pool._news);
                if (_pool._stopping)
                {
                    break;
                }

                if (!_pool.TryHelp(_index, _scratch))
                {
                    Wait(news);
                }
            }

            _scratch.Dispose();
        }

        private void Wait(int news)
        {
            long start = Stopwatch.GetTimestamp();
            do
            {
                if (Volatile.Read(ref _pool._news) != news)
                {
                    return;
                }

                Thread.SpinWait(1);
            }
            while (Stopwatch.GetTimestamp() - start < _pool._spinTicks);

            Interlocked.Exchange(ref _parked, 1);
            if (Volatile.Read(ref _pool._news) == news || Interlocked.Exchange(ref _parked, 0) == 0)
            {
                _wake.WaitOne();
                if (_pool.AnyJobWantsHelpers())
                {
                    _pool.WakeTwo();
                }
            }
        }
    }
}
