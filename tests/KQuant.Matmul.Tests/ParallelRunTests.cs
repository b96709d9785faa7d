namespace KQuant.Matmul.Tests;

/// <summary>What callers do between products on the threads of a context: <see cref="MatmulContext.Run"/>.</summary>
public class ParallelRunTests
{
    [Test]
    public void DoesEveryPieceOnceWithScratchOfItsOwn([Values(1, 2, 3, 8)] int threads, [Values] bool isLong)
    {
        using MatmulContext context = Create(threads);
        foreach (int pieces in (int[])[0, 1, 2, 7, 64, 1000])
        {
            var done = new int[pieces];
            context.Run(
                new Work((piece, scratch) =>
                {
                    // Another piece on the same memory would spoil the sum.
                    Assert.That(scratch.Length, Is.GreaterThanOrEqualTo(33));
                    scratch = scratch[..33];
                    scratch.Fill(piece);
                    Thread.SpinWait(50);
                    float sum = 0;
                    foreach (float value in scratch)
                    {
                        sum += value;
                    }

                    Assert.That(sum, Is.EqualTo(33f * piece));
                    Interlocked.Increment(ref done[piece]);
                }),
                pieces,
                scratchLength: 33,
                isLong);
            Assert.That(done, Is.All.EqualTo(1), $"{pieces} pieces");
        }
    }

    [Test]
    public void ThreadsOfTheContextHelp()
    {
        using MatmulContext context = Create(3);
        using var together = new Barrier(3);

        // Each piece waits for the two others: on fewer than three threads this would never end.
        context.Run(new Work((_, _) => together.SignalAndWait()), 3);

        Assert.That(together.CurrentPhaseNumber, Is.EqualTo(1));
    }

    [Test]
    public void AFailureReachesTheCallerAndTheContextGoesOn([Values(1, 2, 3, 8)] int threads)
    {
        using MatmulContext context = Create(threads);
        for (int failing = 0; failing < 12; failing++)
        {
            var work = new Work((piece, _) =>
            {
                if (piece == failing)
                {
                    throw new InvalidOperationException($"piece {piece}");
                }
            });
            Assert.That(() => context.Run(work, 12), Throws.InvalidOperationException.With.Message.EqualTo($"piece {failing}"));
        }

        int done = 0;
        context.Run(new Work((_, _) => Interlocked.Increment(ref done)), 100);
        Assert.That(done, Is.EqualTo(100));
    }

    [Test]
    public void CancellationStopsBetweenPieces([Values(1, 2, 3, 8)] int threads)
    {
        using MatmulContext context = Create(threads);
        using var cancellation = new CancellationTokenSource();
        int done = 0;
        var work = new Work((_, _) =>
        {
            if (Interlocked.Increment(ref done) == 3)
            {
                cancellation.Cancel();
            }
        });

        Assert.That(() => context.Run(work, 100_000, cancellationToken: cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(done, Is.InRange(3, 99_999));

        done = 0;
        Assert.That(() => context.Run(work, 10, cancellationToken: cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(done, Is.Zero, "cancelled before it began");
    }

    [Test]
    public void APieceMayRunOthers([Values(1, 2, 3)] int threads)
    {
        using MatmulContext context = Create(threads);
        int done = 0;
        context.Run(new Work((_, _) => context.Run(new Work((_, _) => Interlocked.Increment(ref done)), 10)), 10);
        Assert.That(done, Is.EqualTo(100));
    }

    [Test]
    public void WrongArgumentsAreRefused()
    {
        MatmulContext context = Create(2);
        var work = new Work((_, _) => { });
        Assert.That(() => context.Run(null!, 1), Throws.ArgumentNullException);
        Assert.That(() => context.Run(work, -1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => context.Run(work, 1, scratchLength: -1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        context.Dispose();
        Assert.That(() => context.Run(work, 1), Throws.InstanceOf<ObjectDisposedException>());
    }

    private static MatmulContext Create(int threads) => new(new MatmulOptions { MaxDegreeOfParallelism = threads });

    private delegate void Piece(int piece, Span<float> scratch);

    private sealed class Work(Piece action) : IParallelWork
    {
        public void RunPiece(int piece, Span<float> scratch) => action(piece, scratch);
    }
}
