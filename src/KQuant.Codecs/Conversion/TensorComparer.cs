using CommunityToolkit.HighPerformance.Buffers;
using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Conversion;

/// <summary>Compares two tensors, wherever and however they are stored.</summary>
public static class TensorComparer
{
    private const int CompareBufferBytes = 1 << 20;

    /// <summary>Compares two tensors.</summary>
    /// <param name="reference">The tensor that the error is relative to.</param>
    /// <param name="actual">A tensor of the same shape; dimensions of 1 at the front do not count.</param>
    /// <param name="maxDegreeOfParallelism">-1 for one thread per processor, a positive number for at most so many.</param>
    /// <param name="cancellationToken">Looked at every few thousand weights.</param>
    /// <returns>The difference.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <exception cref="NotSupportedException">One of the tensors holds weights and the other does not, or has no decoder here.</exception>
    /// <exception cref="OperationCanceledException">The comparison was cancelled.</exception>
    public static TensorDifference Compare(
        ModelTensor reference, ModelTensor actual, int maxDegreeOfParallelism = -1, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reference);
        ArgumentNullException.ThrowIfNull(actual);
        if (!WithoutOnes(reference).SequenceEqual(WithoutOnes(actual)))
        {
            throw new ArgumentException(
                $"{reference.Name} is [{string.Join(", ", reference.Shape)}] and {actual.Name} [{string.Join(", ", actual.Shape)}]; "
                + "only tensors of one shape are compared.",
                nameof(actual));
        }

        bool equal = HaveEqualBytes(reference, actual, cancellationToken);
        if (reference.Codec is null && actual.Codec is null && reference.FormatName == actual.FormatName)
        {
            return new TensorDifference { EqualBytes = equal, DifferingWeights = null, Error = null };
        }

        var difference = new Difference(reference.GetQuantShape());
        TensorSlices.Run(
            difference.Shape, Parallelism.Checked(maxDegreeOfParallelism, nameof(maxDegreeOfParallelism)), () => new Worker(difference, reference, actual), cancellationToken);
        return new TensorDifference { EqualBytes = equal, DifferingWeights = difference.DifferingWeights, Error = difference.Error };
    }

    private static ReadOnlySpan<long> WithoutOnes(ModelTensor tensor) => tensor.Shape.AsSpan().TrimStart(1);

    private static bool HaveEqualBytes(ModelTensor reference, ModelTensor actual, CancellationToken cancellationToken)
    {
        if (reference.FormatName != actual.FormatName || reference.ByteCount != actual.ByteCount)
        {
            return false;
        }

        using SpanOwner<byte> first = SpanOwner<byte>.Allocate(CompareBufferBytes), second = SpanOwner<byte>.Allocate(CompareBufferBytes);
        for (long offset = 0; offset < reference.ByteCount; offset += CompareBufferBytes)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = (int)Math.Min(CompareBufferBytes, reference.ByteCount - offset);
            reference.ReadBytes(offset, first.Span[..count]);
            actual.ReadBytes(offset, second.Span[..count]);
            if (!first.Span[..count].SequenceEqual(second.Span[..count]))
            {
                return false;
            }
        }

        return true;
    }

    private sealed class Difference(QuantShape shape)
    {
        public QuantShape Shape => shape;

        public long DifferingWeights { get; set; }

        public WeightError Error { get; set; }
    }

    private sealed class Worker : ISliceWorker
    {
        private readonly Difference _difference;
        private readonly ModelTensor _reference;
        private readonly ModelTensor _actual;
        private readonly MemoryOwner<float> _first;
        private readonly MemoryOwner<float> _second;
        private long _differing;
        private WeightError _error;

        public Worker(Difference difference, ModelTensor reference, ModelTensor actual)
        {
            (_difference, _reference, _actual) = (difference, reference, actual);
            int weights = checked(TensorSlices.RowsPerSlice(difference.Shape) * difference.Shape.Columns);
            _first = MemoryOwner<float>.Allocate(weights);
            _second = MemoryOwner<float>.Allocate(weights);
        }

        public void Work(TensorSlice slice)
        {
            int length = slice.Rows * _difference.Shape.Columns;
            Span<float> first = _first.Span[..length], second = _second.Span[..length];
            _reference.ReadRows(slice.FirstRow, first);
            _actual.ReadRows(slice.FirstRow, second);
            _differing = 0;
            for (int i = 0; i < length; i++)
            {
                if (!first[i].Equals(second[i]))
                {
                    _differing++;
                }
                else if (!float.IsFinite(first[i]))
                {
                    first[i] = second[i] = 0;
                }
            }

            _error = WeightError.Measure(first, second);
        }

        public void Finish(TensorSlice slice)
        {
            _difference.DifferingWeights += _differing;
            _difference.Error += _error;
        }

        public void Dispose()
        {
            _first.Dispose();
            _second.Dispose();
        }
    }
}
