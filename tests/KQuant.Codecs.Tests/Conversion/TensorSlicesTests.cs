using KQuant.Codecs.Conversion;

namespace KQuant.Codecs.Tests.Conversion;

/// <summary><see cref="TensorSlices"/>: every row once, in order, whatever the shape and the number of threads.</summary>
public class TensorSlicesTests
{
    [TestCase(1, 1, 1)]
    [TestCase(1, 1, 5_000_000)]
    [TestCase(1, 100_000, 1)]
    [TestCase(1, 1000, 777)]
    [TestCase(7, 300, 1024)]
    [TestCase(300, 2, 32)]
    [TestCase(1, 0, 256)]
    [TestCase(0, 4, 256)]
    [TestCase(1, 4, 0)]
    public void CoversEveryRowInOrder(long experts, long rows, int columns)
    {
        var shape = QuantShape.Stack(experts, rows, columns);
        foreach (int threads in (int[])[1, 2, 5, -1])
        {
            var finished = new List<TensorSlice>();
            int workers = 0;
            TensorSlices.Run(shape, threads, () => new Recorder(finished, () => Interlocked.Increment(ref workers)), CancellationToken.None);
            long next = 0;
            foreach (TensorSlice slice in finished)
            {
                Assert.That(slice.FirstRow, Is.EqualTo(next));
                Assert.That(slice.Expert, Is.EqualTo(next / rows));
                Assert.That(slice.Rows, Is.InRange(1, Math.Min(TensorSlices.RowsPerSlice(shape), rows - (next % rows))));
                next += slice.Rows;
            }

            Assert.That(next, Is.EqualTo(shape.TotalWeights == 0 ? 0 : shape.TotalRows));
            Assert.That((long)workers * TensorSlices.RowsPerSlice(shape) * columns, Is.LessThanOrEqualTo(Math.Max(1 << 23, columns)));
        }
    }

    [Test]
    public void TheFirstFailureComesThrough([Values(1, 4)] int threads)
    {
        var finished = new List<TensorSlice>();
        Assert.That(
            () => TensorSlices.Run(
                new QuantShape(100, 1024), threads, () => new Recorder(finished, fails: _ => true), CancellationToken.None),
            Throws.InvalidOperationException.With.Message.EqualTo("row 0"));
        int rows = TensorSlices.RowsPerSlice(new QuantShape(10_000, 1024));
        Assert.That(
            () => TensorSlices.Run(
                new QuantShape(10_000, 1024), threads, () => new Recorder(finished, fails: slice => slice.FirstRow >= 3 * rows), CancellationToken.None),
            Throws.InvalidOperationException.With.Message.EqualTo($"row {3 * rows}"));
        Assert.That(finished, Has.Count.EqualTo(3));
    }

    [Test]
    public void Cancels([Values(1, 4)] int threads)
    {
        using var source = new CancellationTokenSource();
        var finished = new List<TensorSlice>();
        Assert.That(
            () => TensorSlices.Run(
                new QuantShape(100_000, 1024),
                threads,
                () => new Recorder(finished, onFinish: source.Cancel),
                source.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(finished, Has.Count.EqualTo(1));
    }

    private sealed class Recorder : ISliceWorker
    {
        private readonly List<TensorSlice> _finished;
        private readonly Func<TensorSlice, bool>? _fails;
        private readonly Action? _onFinish;
        private TensorSlice _worked;

        public Recorder(List<TensorSlice> finished, Action? onCreate = null, Func<TensorSlice, bool>? fails = null, Action? onFinish = null)
        {
            (_finished, _fails, _onFinish) = (finished, fails, onFinish);
            onCreate?.Invoke();
        }

        public void Work(TensorSlice slice)
        {
            _worked = slice;
            if (_fails?.Invoke(slice) == true)
            {
                throw new InvalidOperationException($"row {slice.FirstRow}");
            }
        }

        public void Finish(TensorSlice slice)
        {
            Assert.That(_worked, Is.EqualTo(slice));
            _finished.Add(slice);
            _onFinish?.Invoke();
        }

        public void Dispose()
        {
        }
    }
}
