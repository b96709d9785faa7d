using System.Runtime.InteropServices;
using CommunityToolkit.HighPerformance.Buffers;
using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs.Conversion;

/// <summary>Single tensors through a codec and back, streamed: of any size, from any file.</summary>
public static class TensorConverter
{
    /// <summary>Encodes a tensor.</summary>
    /// <param name="source">The tensor; its last dimension is a whole number of blocks.</param>
    /// <param name="codec">The codec.</param>
    /// <param name="destination">Where the wire bytes go, row by row.</param>
    /// <param name="importance">One value per column, one per column of each expert, or none.</param>
    /// <param name="options">Mode, overflow policy, threads and whether to measure; the rest is not used. Null for the default.</param>
    /// <param name="cancellationToken">Looked at every few thousand weights.</param>
    /// <returns>How far the encoded weights are from the source; null when not measured.</returns>
    /// <exception cref="ArgumentException">The rows are no whole blocks, or the importance has another length.</exception>
    /// <exception cref="InvalidWeightException">A weight cannot be encoded.</exception>
    /// <exception cref="OperationCanceledException">The encode was cancelled.</exception>
    public static WeightError? Encode(
        ModelTensor source,
        QuantCodec codec,
        Stream destination,
        float[]? importance = null,
        ConversionOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(codec);
        ArgumentNullException.ThrowIfNull(destination);
        QuantShape shape = source.GetQuantShape();
        if (importance is not null && importance.Length != shape.Columns && importance.Length != (Int128)shape.Experts * shape.Columns)
        {
            Throw.ImportanceLength(codec, importance.Length, shape, nameof(importance));
        }

        var encoding = new TensorEncoding(source, codec, () => importance, options ?? new ConversionOptions(), cancellationToken);
        encoding.WriteTo(destination);
        return encoding.Error;
    }

    /// <summary>Decodes a tensor to float32, whatever it holds: infinities and NaNs too.</summary>
    /// <param name="source">The tensor.</param>
    /// <param name="destination">Where the floats go, little-endian, row by row.</param>
    /// <param name="maxDegreeOfParallelism">-1 for one thread per processor, a positive number for at most so many.</param>
    /// <param name="cancellationToken">Looked at every few thousand weights.</param>
    /// <exception cref="NotSupportedException">The tensor is in a format without a decoder.</exception>
    /// <exception cref="OperationCanceledException">The decode was cancelled.</exception>
    public static void Decode(
        ModelTensor source, Stream destination, int maxDegreeOfParallelism = -1, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(destination);
        QuantShape shape = source.GetQuantShape();
        TensorSlices.Run(shape, Parallelism.Checked(maxDegreeOfParallelism, nameof(maxDegreeOfParallelism)), () => new Decoder(source, shape, destination), cancellationToken);
    }

    private sealed class Decoder(ModelTensor source, QuantShape shape, Stream destination) : ISliceWorker
    {
        private readonly MemoryOwner<float> _weights =
            MemoryOwner<float>.Allocate(checked(TensorSlices.RowsPerSlice(shape) * shape.Columns));

        public void Work(TensorSlice slice) => source.ReadRows(slice.FirstRow, Weights(slice));

        public void Finish(TensorSlice slice) => destination.Write(MemoryMarshal.AsBytes(Weights(slice)));

        public void Dispose() => _weights.Dispose();

        private Span<float> Weights(TensorSlice slice) => _weights.Span[..(slice.Rows * shape.Columns)];
    }
}
