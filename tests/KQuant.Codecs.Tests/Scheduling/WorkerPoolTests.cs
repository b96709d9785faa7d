using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Tests.Scheduling;

/// <summary>Every piece is done once, whatever happens; failures and cancellation come out at the caller.</summary>
public class WorkerPoolTests
{
    private static readonly TimeSpan[] Spins = [TimeSpan.Zero, TimeSpan.FromMilliseconds(1)];

    [Test]
    public void DoesEveryPieceOnce([Values(1, 2, 3, 8)] int threads, [ValueSource(nameof(Spins))] TimeSpan spin)
    {
        using var pool = new WorkerPool(threads, spin);
        using var scratch = new AlignedBuffer();
        for (int pieces = 0; pieces < 200; pieces += 1 + (pieces / 8))
        {
            var work = new CountingWork(pieces);
            pool.Run(work, pieces, threads, wake: true, scratch, default);
            Assert.That(work.Done, Is.All.EqualTo(1), $"{pieces} pieces");
        }
    }

    [Test]
    public void RunsInOrderOnTheCallingThreadWhenItIsAlone()
    {
        using var pool = new WorkerPool(1, TimeSpan.Zero);
        using var scratch = new AlignedBuffer();
        var order = new List<int>();
        int caller = Environment.CurrentManagedThreadId;
        var work = new DelegateWork(piece =>
        {
            Assert.That(Environment.CurrentManagedThreadId, Is.EqualTo(caller));
            order.Add(piece);
        });

        pool.Run(work, 5, 8, wake: true, scratch, default);

        Assert.That(order, Is.EqualTo(Enumerable.Range(0, 5)));
    }

    [Test]
    public void WorkersReallyHelp()
    {
        using var pool = new WorkerPool(3, TimeSpan.Zero);
        using var scratch = new AlignedBuffer();
        using var together = new Barrier(3);

        // Each piece waits for the two others: on fewer than three threads this would never end.
        pool.Run(new DelegateWork(_ => together.SignalAndWait()), 3, 3, wake: true, scratch, default);

        Assert.That(together.CurrentPhaseNumber, Is.EqualTo(1));
    }

    /// <summary>Threads that have just started, or just looked for work, end as well; with a lost wake-up this would wait for ever.</summary>
    [Test]
    public void EveryPoolEnds()
    {
        Task pools = Task.Run(() =>
        {
            using var scratch = new AlignedBuffer();
            for (int i = 0; i < 5000; i++)
            {
                using var pool = new WorkerPool(3, TimeSpan.Zero);
                if (i % 2 == 0)
                {
                    pool.Run(new DelegateWork(_ => { }), 3, 3, wake: true, scratch, default);
                }
            }
        });
        Assert.That(pools.Wait(TimeSpan.FromMinutes(2)), Is.True);
    }

    [Test]
    public void EveryThreadStartsWithAShareOfItsOwn()
    {
        using var pool = new WorkerPool(2, TimeSpan.Zero);
        using var scratch = new AlignedBuffer();
        using var together = new Barrier(2);
        int[] begun = new int[10];
        int count = 0;
        var work = new DelegateWork(piece =>
        {
            int position = Interlocked.Increment(ref count) - 1;
            begun[position] = piece;
            if (position < 2)
            {
                together.SignalAndWait();
            }
        });

        pool.Run(work, begun.Length, 2, wake: true, scratch, default);

        Assert.That((begun[..2].Min(), begun[..2].Max()), Is.EqualTo((0, 5)));
        Assert.That(begun, Is.EquivalentTo(Enumerable.Range(0, 10)));
    }

    [Test]
    public void NoMoreThreadsHelpThanItIsWorth()
    {
        using var pool = new WorkerPool(4, TimeSpan.Zero);
        using var scratch = new AlignedBuffer();
        int running = 0, most = 0;
        var work = new DelegateWork(_ =>
        {
            int now = Interlocked.Increment(ref running);
            InterlockedMax(ref most, now);
            Thread.SpinWait(2000);
            Interlocked.Decrement(ref running);
        });

        pool.Run(work, 200, 2, wake: true, scratch, default);

        Assert.That(most, Is.LessThanOrEqualTo(2));

        static void InterlockedMax(ref int target, int value)
        {
            for (int seen = target; value > seen; seen = target)
            {
                Interlocked.CompareExchange(ref target, value, seen);
            }
        }
    }

    [Test]
    public void AFailureReachesTheCallerAndThePoolGoesOn([Values(1, 2, 8)] int threads)
    {
        using var pool = new WorkerPool(threads, TimeSpan.FromMicroseconds(50));
        using var scratch = new AlignedBuffer();
        for (int failing = 0; failing < 20; failing++)
        {
            var work = new DelegateWork(piece =>
            {
                if (piece == failing)
                {
                    throw new InvalidOperationException($"piece {piece}");
                }
            });

            Assert.That(
                () => pool.Run(work, 20, threads, wake: true, scratch, default),
                Throws.InvalidOperationException.With.Message.EqualTo($"piece {failing}"));
        }

        var counting = new CountingWork(50);
        pool.Run(counting, 50, threads, wake: true, scratch, default);
        Assert.That(counting.Done, Is.All.EqualTo(1));
    }

    [Test]
    public void CancellationStopsBetweenPieces([Values(1, 2, 8)] int threads)
    {
        using var pool = new WorkerPool(threads, TimeSpan.FromMicroseconds(50));
        using var scratch = new AlignedBuffer();
        using var cancellation = new CancellationTokenSource();
        int done = 0;
        var work = new DelegateWork(_ =>
        {
            if (Interlocked.Increment(ref done) == 3)
            {
                cancellation.Cancel();
            }
        });

        Assert.That(() => pool.Run(work, 100_000, threads, wake: true, scratch, cancellation.Token), Throws.InstanceOf<OperationCanceledException>());

        Assert.That(done, Is.InRange(3, 99_999));
    }

    [Test]
    public void AJobMayRunAnotherOne([Values(1, 2, 3)] int threads)
    {
        using var pool = new WorkerPool(threads, TimeSpan.FromMicroseconds(50));
        using var scratch = new AlignedBuffer();
        CountingWork[] inner = [.. Enumerable.Range(0, 10).Select(_ => new CountingWork(20))];
        var outer = new DelegateWork(piece =>
        {
            using var own = new AlignedBuffer();
            pool.Run(inner[piece], 20, threads, wake: true, own, default);
        });

        pool.Run(outer, 10, threads, wake: true, scratch, default);

        Assert.That(inner.SelectMany(work => work.Done), Is.All.EqualTo(1));
    }

    [Test]
    public void SeveralCallersAtOnce([Values(2, 3)] int threads, [Values(2, 5)] int callers)
    {
        using var pool = new WorkerPool(threads, TimeSpan.FromMicroseconds(20));
        var failures = new List<string>();
        var running = new Thread[callers];
        for (int c = 0; c < callers; c++)
        {
            running[c] = new Thread(() =>
            {
                using var scratch = new AlignedBuffer();
                for (int run = 0; run < 300; run++)
                {
                    var work = new CountingWork(1 + (run % 40));
                    pool.Run(work, work.Done.Length, threads, wake: run % 2 == 0, scratch, default);
                    if (Array.Exists(work.Done, count => count != 1))
                    {
                        lock (failures)
                        {
                            failures.Add($"run {run}: {string.Join(' ', work.Done)}");
                        }
                    }
                }
            });
            running[c].Start();
        }

        foreach (Thread thread in running)
        {
            thread.Join();
        }

        Assert.That(failures, Is.Empty);
    }

    private sealed class CountingWork(int pieces) : ParallelWork
    {
        private readonly int[] _done = new int[pieces];

        public int[] Done => _done;

        protected override void RunPiece(int piece, AlignedBuffer scratch) => Interlocked.Increment(ref _done[piece]);
    }

    private sealed class DelegateWork(Action<int> action) : ParallelWork
    {
        protected override void RunPiece(int piece, AlignedBuffer scratch) => action(piece);
    }
}
