using KQuant.Codecs;

namespace KQuant.Matmul.Backends;

/// <summary>
/// The processor: <see cref="QuantizedMatmul"/> behind the seam. Nothing is queued or copied. With
/// <see cref="ActivationPrecision.Float32"/> it is what other backends are compared with, bit for bit.
/// </summary>
/// <param name="context">Threads, memory and options; stays the caller's.</param>
public sealed partial class ManagedBackend(MatmulContext context) : MatmulBackend
{
    private readonly MatmulContext _context = context ?? throw new ArgumentNullException(nameof(context));

    /// <inheritdoc/>
    public override string Name => $"cpu ({_context.GetTier(QuantCodec.Get(QuantFormat.Q4_K))})";

    /// <inheritdoc/>
    public override bool Supports(QuantCodec codec, QuantShape shape) => true;

    /// <inheritdoc/>
    public override BackendWeights Upload(QuantizedTensor weights) => new View(weights);

    /// <inheritdoc/>
    public override BackendBuffer Allocate(int length) => new Floats(length);

    /// <inheritdoc/>
    public override void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y)
    {
        QuantizedTensor tensor = BackendArguments.Weights<View>(weights).Tensor;
        BackendArguments.Check(tensor, BackendArguments.Buffer<Floats>(x, nameof(x)), rows, BackendArguments.Buffer<Floats>(y, nameof(y)));
        QuantizedMatmul.Multiply(tensor, x.Values[..(rows * tensor.Shape.Columns)], y.Values[..(int)(rows * tensor.Shape.Rows)], _context);
    }

    /// <inheritdoc/>
    public override void GatherMultiply(
        BackendWeights experts, BackendBuffer x, ReadOnlySpan<int> shape, IndexArray lhs, IndexArray rhs, BackendBuffer y, bool sorted = false)
    {
        QuantizedTensor tensor = BackendArguments.Weights<View>(experts).Tensor;
        BackendArguments.CheckGather(tensor, BackendArguments.Buffer<Floats>(x, nameof(x)), shape, lhs, rhs);
        long results = BackendArguments.CountResults(tensor, shape, lhs, rhs, BackendArguments.Buffer<Floats>(y, nameof(y)), x);
        QuantizedMatmul.GatherMultiply(
            tensor, x.Values[..IndexArray.Product(shape, nameof(shape))], shape, lhs, rhs, y.Values[..(int)results], _context, sorted);
    }

    /// <summary>Does nothing: every product is complete when its call returns.</summary>
    public override void Synchronize()
    {
    }

    /// <summary>Does nothing: the context is the caller's.</summary>
    protected override void Dispose(bool disposing)
    {
    }

    private sealed class View(QuantizedTensor tensor) : BackendWeights(tensor)
    {
        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class Floats(int length) : BackendBuffer(length)
    {
        private float[]? _values = GC.AllocateUninitializedArray<float>(length, pinned: true);

        public override Span<float> Values
        {
            get
            {
                ObjectDisposedException.ThrowIf(_values is null, this);
                return _values;
            }
        }

        protected override void Dispose(bool disposing) => _values = null;
    }
}
