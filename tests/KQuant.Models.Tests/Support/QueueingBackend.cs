using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;

namespace KQuant.Models.Tests;

/// <summary>
/// The processor behaving like a device: products wait in a queue, operands are read only when it runs, results are garbage until then,
/// and everything it gives away is counted.
/// </summary>
internal sealed class QueueingBackend(MatmulContext context, Predicate<QuantShape>? supports = null) : MatmulBackend
{
    private readonly ManagedBackend _backend = new(context);
    private readonly List<Action> _queue = [];

    public override string Name => "queue";

    /// <summary>Products so far.</summary>
    public int Products { get; private set; }

    /// <summary>Times that the queue was run.</summary>
    public int Submissions { get; private set; }

    /// <summary>Weights and buffers that nobody disposed yet.</summary>
    public int Live { get; private set; }

    /// <summary>Thrown by the next call of <see cref="Synchronize"/>, or of a product after <see cref="ProductsToFailure"/> others.</summary>
    public Exception? Failure { get; set; }

    /// <summary>Products that succeed before one fails; null for all.</summary>
    public int? ProductsToFailure { get; set; }

    public override bool Supports(QuantCodec codec, QuantShape shape) => supports?.Invoke(shape) ?? true;

    public override BackendWeights Upload(QuantizedTensor weights)
    {
        Assert.That(Supports(weights.Codec, weights.Shape), $"{weights} was uploaded, although it is not supported");
        Live++;
        return new Weights(this, weights, _backend.Upload(weights));
    }

    public override BackendBuffer Allocate(int length)
    {
        Live++;
        return new Floats(this, _backend.Allocate(length));
    }

    public override void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y) =>
        Enqueue(y, () => _backend.Multiply(((Weights)weights).Inner, ((Floats)x).Inner, rows, ((Floats)y).Inner));

    public override void GatherMultiply(
        BackendWeights experts, BackendBuffer x, ReadOnlySpan<int> shape, IndexArray lhs, IndexArray rhs, BackendBuffer y, bool sorted = false)
    {
        Assert.That(lhs.IsMissing, "lhs");
        int[] sizes = shape.ToArray(), ids = rhs.Values.ToArray(), idShape = rhs.Shape.ToArray();
        Enqueue(y, () => _backend.GatherMultiply(
            ((Weights)experts).Inner, ((Floats)x).Inner, sizes, default, new IndexArray(ids, idShape), ((Floats)y).Inner, sorted));
    }

    public override void Synchronize()
    {
        Submissions++;
        try
        {
            Fail();
            _queue.ForEach(product => product());
        }
        finally
        {
            _queue.Clear();
        }
    }

    protected override void Dispose(bool disposing) => _backend.Dispose();

    private void Fail()
    {
        if (Failure is { } failure)
        {
            Failure = null;
            throw failure;
        }
    }

    private void Enqueue(BackendBuffer y, Action product)
    {
        Products++;
        if (ProductsToFailure-- == 0)
        {
            ProductsToFailure = null;
            Fail();
        }

        y.Values.Fill(float.NaN);
        _queue.Add(product);
    }

    private sealed class Weights(QueueingBackend owner, QuantizedTensor tensor, BackendWeights inner) : BackendWeights(tensor)
    {
        public BackendWeights Inner => inner;

        protected override void Dispose(bool disposing)
        {
            inner.Dispose();
            owner.Live--;
        }
    }

    private sealed class Floats(QueueingBackend owner, BackendBuffer inner) : BackendBuffer(inner.Length)
    {
        public BackendBuffer Inner => inner;

        public override Span<float> Values => inner.Values;

        protected override void Dispose(bool disposing)
        {
            inner.Dispose();
            owner.Live--;
        }
    }
}
