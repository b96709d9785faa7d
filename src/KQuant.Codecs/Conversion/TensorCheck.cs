using System.Numerics.Tensors;
using CommunityToolkit.HighPerformance.Buffers;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>A pass over one tensor that looks for weights that are not finite and compares with another tensor of the same shape.</summary>
internal sealed class TensorCheck(ModelTensor tensor, ModelTensor? other)
{
    private readonly QuantShape _shape = tensor.GetQuantShape();
    private Action<long>? _progress;
    private long _bytesDone;

    public long NonFiniteCount { get; private set; }

    /// <summary>The first row with a weight that is not finite, or -1.</summary>
    public long FirstNonFiniteRow { get; private set; } = -1;

    /// <summary>The error against the other tensor; null without one.</summary>
    public WeightError? Error { get; private set; } = other is null ? null : default(WeightError);

    /// <summary>Runs through the tensor.</summary>
    /// <param name="maxDegreeOfParallelism">-1 for one thread per processor, a positive number for at most so many.</param>
    /// <param name="progress">Told the bytes done, on the calling thread.</param>
    /// <param name="cancellationToken">Looked at before each slice.</param>
    public void Run(int maxDegreeOfParallelism, Action<long>? progress, CancellationToken cancellationToken)
    {
        _progress = progress;
        TensorSlices.Run(_shape, maxDegreeOfParallelism, () => new Worker(this, tensor, other), cancellationToken);
    }

    private void Add(TensorSlice slice, long nonFinite, long firstNonFiniteRow, WeightError error)
    {
        NonFiniteCount += nonFinite;
        FirstNonFiniteRow = FirstNonFiniteRow < 0 ? firstNonFiniteRow : FirstNonFiniteRow;
        Error = Error is WeightError sum ? sum + error : null;
        _bytesDone += tensor.Codec!.GetByteCount((long)slice.Rows * _shape.Columns);
        _progress?.Invoke(_bytesDone);
    }

    private sealed class Worker : ISliceWorker
    {
        private readonly TensorCheck _owner;
        private readonly ModelTensor _tensor;
        private readonly ModelTensor? _other;
        private readonly MemoryOwner<float> _weights;
        private readonly MemoryOwner<float> _reference;
        private long _nonFinite;
        private long _firstNonFiniteRow;
        private WeightError _error;

        public Worker(TensorCheck owner, ModelTensor tensor, ModelTensor? other)
        {
            (_owner, _tensor, _other) = (owner, tensor, other);
            int weights = checked(TensorSlices.RowsPerSlice(owner._shape) * owner._shape.Columns);
            _weights = MemoryOwner<float>.Allocate(weights);
            _reference = MemoryOwner<float>.Allocate(other is null ? 0 : weights);
        }

        public void Work(TensorSlice slice)
        {
            int columns = _owner._shape.Columns;
            Span<float> weights = _weights.Span[..(slice.Rows * columns)];
            _tensor.ReadRows(slice.FirstRow, weights);
            CountNonFinite(weights, slice.FirstRow, columns);
            if (_other is not null)
            {
                Span<float> reference = _reference.Span[..weights.Length];
                _other.ReadRows(slice.FirstRow, reference);
                _error = WeightError.Measure(reference, weights);
            }
        }

        public void Finish(TensorSlice slice) => _owner.Add(slice, _nonFinite, _firstNonFiniteRow, _error);

        public void Dispose()
        {
            _weights.Dispose();
            _reference.Dispose();
        }

        private void CountNonFinite(ReadOnlySpan<float> weights, long firstRow, int columns)
        {
            _nonFinite = 0;
            _firstNonFiniteRow = -1;
            if (TensorPrimitives.IsFiniteAll(weights))
            {
                return;
            }

            for (int i = 0; i < weights.Length; i++)
            {
                if (!float.IsFinite(weights[i]))
                {
                    _nonFinite++;
                    _firstNonFiniteRow = _firstNonFiniteRow < 0 ? firstRow + (i / columns) : _firstNonFiniteRow;
                }
            }
        }
    }
}
