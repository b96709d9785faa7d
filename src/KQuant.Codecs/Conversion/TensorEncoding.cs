using CommunityToolkit.HighPerformance.Buffers;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// One tensor on its way through a codec: rows are read, encoded, written, and (if asked for) decoded and compared, slice by slice.
/// </summary>
internal sealed class TensorEncoding(
    ModelTensor source,
    QuantCodec codec,
    Func<float[]?> loadImportance,
    ConversionOptions options,
    CancellationToken cancellationToken) : EncodedTensor
{
    private readonly QuantShape _shape = source.GetQuantShape();
    private WeightError? _measured = options.MeasureError ? default(WeightError) : null;
    private int _plane;

    /// <summary>The error so far; null when it is not measured.</summary>
    public override WeightError? Error => _measured;

    /// <summary>Writes all wire bytes.</summary>
    /// <exception cref="InvalidWeightException">A weight cannot be encoded; the message names the tensor.</exception>
    public override void WriteTo(Stream stream) => Write(stream, _shape, firstRow: 0);

    /// <summary>Writes the wire bytes of one plane. Weights are encoded for each plane anew; the error is that of the first.</summary>
    /// <inheritdoc cref="WriteTo"/>
    public override void WritePlaneTo(Stream stream, int plane)
    {
        _plane = plane;
        Write(stream, _shape, firstRow: 0);
    }

    /// <summary>Writes the wire bytes of one expert.</summary>
    /// <inheritdoc cref="WriteTo"/>
    public override void WriteExpertTo(Stream stream, long expert) => Write(stream, _shape with { Experts = 1 }, expert * _shape.Rows);

    private void Write(Stream stream, QuantShape shape, long firstRow)
    {
        float[]? importance = loadImportance();
        try
        {
            TensorSlices.Run(shape, options.MaxDegreeOfParallelism, () => new Worker(this, stream, firstRow, importance), cancellationToken);
        }
        catch (InvalidWeightException exception)
        {
            throw new InvalidWeightException($"{source.Name}: {exception.Message}", exception.Row, exception.Column, exception.Value);
        }
    }

    private sealed class Worker : ISliceWorker
    {
        private readonly TensorEncoding _owner;
        private readonly Stream _stream;
        private readonly long _firstRow;
        private readonly float[]? _importance;
        private readonly MemoryOwner<float> _weights;
        private readonly MemoryOwner<byte> _encoded;
        private readonly MemoryOwner<float> _decoded;
        private WeightError _error;

        public Worker(TensorEncoding owner, Stream stream, long firstRow, float[]? importance)
        {
            (_owner, _stream, _firstRow, _importance) = (owner, stream, firstRow, importance);
            int weights = checked(TensorSlices.RowsPerSlice(owner._shape) * owner._shape.Columns);
            _weights = MemoryOwner<float>.Allocate(weights);
            _encoded = MemoryOwner<byte>.Allocate(checked((int)owner.Codec.GetByteCount(weights)));
            _decoded = MemoryOwner<float>.Allocate(owner.Error is null ? 0 : weights);
        }

        public void Work(TensorSlice slice)
        {
            int columns = _owner._shape.Columns;
            Span<float> weights = _weights.Span[..(slice.Rows * columns)];
            Span<byte> encoded = Encoded(slice);
            long row = _firstRow + slice.FirstRow;
            _owner.Source.ReadRows(row, weights);
            _owner.Codec.Encode(weights, encoded, new EncodeOptions
            {
                Importance = ImportanceOf(slice.Expert),
                RowLength = columns,
                Mode = _owner.Options.Mode,
                Overflow = _owner.Options.Overflow,
                FirstRow = row,
            }, _owner.CancellationToken);
            if (_owner.Error is not null && _owner._plane == 0)
            {
                Span<float> decoded = _decoded.Span[..weights.Length];
                _owner.Codec.Decode(encoded, decoded);
                _error = WeightError.Measure(weights, decoded);
            }
        }

        public void Finish(TensorSlice slice)
        {
            _stream.Write(Written(slice));
            if (_owner.Error is WeightError error && _owner._plane == 0)
            {
                _owner._measured = error + _error;
            }
        }

        public void Dispose()
        {
            _weights.Dispose();
            _encoded.Dispose();
            _decoded.Dispose();
        }

        private ReadOnlySpan<byte> Written(TensorSlice slice)
        {
            Span<byte> encoded = Encoded(slice);
            QuantCodec codec = _owner.Codec;
            if (codec.Planes.Length == 1)
            {
                return encoded;
            }

            int blocks = slice.Rows * _owner._shape.Columns / codec.WeightsPerBlock, start = 0;
            for (int plane = 0; plane < _owner._plane; plane++)
            {
                start += blocks * codec.PlaneBytes(plane);
            }

            return encoded.Slice(start, blocks * codec.PlaneBytes(_owner._plane));
        }

        private Span<byte> Encoded(TensorSlice slice) =>
            _encoded.Span[..(int)_owner.Codec.GetByteCount((long)slice.Rows * _owner._shape.Columns)];

        private ReadOnlySpan<float> ImportanceOf(long expert)
        {
            int columns = _owner._shape.Columns;
            return _importance is null ? []
                : _importance.Length == columns ? _importance
                : _importance.AsSpan(checked((int)(expert * columns)), columns);
        }
    }

    private ModelTensor Source => source;

    private QuantCodec Codec => codec;

    private ConversionOptions Options => options;

    private CancellationToken CancellationToken => cancellationToken;
}
