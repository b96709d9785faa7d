using System.Collections.Concurrent;
using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Several callers through one context: every one of them gets the result it would get alone.</summary>
public class ConcurrencyTests
{
    [Test]
    public void CallersDoNotDisturbOneAnother([Values(1, 2, 4)] int threads, [Values(2, 5)] int callers)
    {
        using MatmulContext context = Contexts.Create(threads);
        Job[] jobs = [.. Enumerable.Range(0, 12).Select(number => new Job(number))];
        int[][] expected = [.. jobs.Select(job => job.Run(context))];
        var wrong = new ConcurrentBag<string>();
        using var start = new Barrier(callers);

        OnThreads(callers, caller =>
        {
            start.SignalAndWait();
            for (int i = 0; i < 40; i++)
            {
                int number = ((i * (caller + 1)) + caller) % jobs.Length;
                if (!jobs[number].Run(context).AsSpan().SequenceEqual(expected[number]))
                {
                    wrong.Add($"caller {caller}, run {i}, job {number}");
                }
            }
        });

        Assert.That(wrong, Is.Empty);
    }

    [Test]
    public void FailuresOfOneCallerAreItsOwn()
    {
        using MatmulContext context = Contexts.Create(2);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var job = new Job(3);
        int[] expected = job.Run(context);
        int wrong = 0, notThrown = 0;

        OnThreads(4, caller =>
        {
            for (int i = 0; i < 40; i++)
            {
                if (caller % 2 == 0)
                {
                    wrong += job.Run(context).AsSpan().SequenceEqual(expected) ? 0 : 1;
                    continue;
                }

                try
                {
                    job.Run(context, cancelled.Token);
                    Interlocked.Increment(ref notThrown);
                }
                catch (OperationCanceledException)
                {
                }
            }
        });

        Assert.That((wrong, notThrown), Is.EqualTo((0, 0)));
    }

    [Test]
    public void DisposingWaitsForTheProductsThatRun()
    {
        for (int round = 0; round < 20; round++)
        {
            MatmulContext context = Contexts.Create(2);
            var job = new Job(5);
            int[] expected = job.Run(context);
            int wrong = 0;
            using var started = new CountdownEvent(3);
            OnThreads(4, caller =>
            {
                if (caller == 0)
                {
                    started.Wait();
                    context.Dispose();
                    return;
                }

                bool first = true;
                try
                {
                    while (true)
                    {
                        wrong += job.Run(context).AsSpan().SequenceEqual(expected) ? 0 : 1;
                        if (first)
                        {
                            first = false;
                            started.Signal();
                        }
                    }
                }
                catch (ObjectDisposedException)
                {
                }
            });

            Assert.That(wrong, Is.Zero);
        }
    }

    private static void OnThreads(int count, Action<int> action)
    {
        var failures = new ConcurrentBag<Exception>();
        Thread[] threads = [.. Enumerable.Range(0, count).Select(number => new Thread(() =>
        {
            try
            {
                action(number);
            }
            catch (Exception exception)
            {
                failures.Add(exception);
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.That(failures, Is.Empty);
    }

    // A product of one of all kinds: dense, transposed or gathered, of one or several rows, small or worth several threads.
    private sealed class Job(int number)
    {
        private readonly QuantizedTensor _weights = RandomTensors.Create(
            QuantCodec.Quantized[number % QuantCodec.Quantized.Count], QuantShape.Stack(number % 3 == 2 ? 4 : 1, 40 + (number * 30), 256), number);

        private readonly int _rows = 1 + (number % 5 * 3);

        public int[] Run(MatmulContext context, CancellationToken cancellation = default)
        {
            int outputs = (int)_weights.Shape.Rows;
            switch (number % 3)
            {
                case 0:
                    var y = new float[_rows * outputs];
                    QuantizedMatmul.Multiply(_weights, Numbers.Gaussian(_rows * 256, number), y, context, cancellation);
                    return Numbers.Bits(y);
                case 1:
                    var dx = new float[_rows * 256];
                    QuantizedMatmul.MultiplyTransposed(_weights, Numbers.Gaussian(_rows * outputs, number), dx, context, cancellation);
                    return Numbers.Bits(dx);
                default:
                    int[] ids = [.. Enumerable.Range(0, 2 * _rows).Select(i => i * 3 % 4)];
                    var gathered = new float[ids.Length * outputs];
                    QuantizedMatmul.GatherMultiply(
                        _weights,
                        Numbers.Gaussian(_rows * 256, number),
                        [_rows, 1, 1, 256],
                        default,
                        new IndexArray(ids, [_rows, 2]),
                        gathered,
                        context,
                        cancellationToken: cancellation);
                    return Numbers.Bits(gathered);
            }
        }
    }
}
