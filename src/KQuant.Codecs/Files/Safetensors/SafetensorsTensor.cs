using System.Collections.Immutable;

namespace KQuant.Codecs.Files;

/// <summary>
/// One tensor of a <see cref="SafetensorsFile"/>: its description and access to its bytes, which stay in the memory-mapped file.
/// </summary>
public sealed class SafetensorsTensor
{
    private readonly SafetensorsShard _shard;

    internal SafetensorsTensor(
        SafetensorsShard shard, string name, ElementType type, ImmutableArray<long> shape, long begin, long byteCount)
    {
        _shard = shard;
        Name = name;
        ElementType = type;
        Shape = shape;
        Begin = begin;
        ByteCount = byteCount;
    }

    /// <summary>The name in the header.</summary>
    public string Name { get; }

    /// <summary>The element type.</summary>
    public ElementType ElementType { get; }

    /// <summary>Dimensions, outermost first; empty for a scalar.</summary>
    public ImmutableArray<long> Shape { get; }

    /// <summary>Bytes of the tensor; may exceed 2 GiB.</summary>
    public long ByteCount { get; }

    /// <summary>Where the tensor begins in its file.</summary>
    public long Offset => _shard.DataStart + Begin;

    /// <summary>Path of the file that holds the tensor.</summary>
    public string FilePath => _shard.Path;

    /// <summary>Where the tensor begins in the data section, as the header counts.</summary>
    internal long Begin { get; }

    /// <summary>Whether the index named this tensor; used while a model is opened.</summary>
    internal bool IsIndexed { get; set; }

    /// <summary>
    /// Part of the tensor's bytes where they lie. Nothing keeps them there: once the file is disposed or collected, touching the span ends the
    /// process. <see cref="ReadBytes"/> is the ordinary form.
    /// </summary>
    /// <param name="offset">First byte, counted from the start of the tensor.</param>
    /// <param name="count">Number of bytes.</param>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the tensor.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public ReadOnlySpan<byte> UnsafeGetBytes(long offset, int count)
    {
        if (offset < 0 || count < 0 || offset > ByteCount - count)
        {
            Throw.RangeOutsideTensor(Name, offset, count, ByteCount);
        }

        return _shard.File.UnsafeBytes(Offset + offset, count);
    }

    /// <summary>
    /// The tensor as weights: a vector is a matrix of one row, a third dimension counts experts, further dimensions are folded into it.
    /// </summary>
    /// <returns>A view that is valid until the file is disposed.</returns>
    /// <exception cref="NotSupportedException">The element type is none of F32, F16 and BF16.</exception>
    /// <exception cref="ModelFormatException">A row is longer than 2^31 - 1 weights.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public QuantizedTensor AsWeights()
    {
        if (!ElementType.TryGetCodec(out QuantCodec? codec))
        {
            Throw.NotWeights(FilePath, Name, ElementType.ToString());
        }

        if (!TensorShapes.TryGetQuantShape(Shape.AsSpan(), out QuantShape shape))
        {
            throw new ModelFormatException(FilePath, $"a row of {Shape[^1]} weights is longer than {int.MaxValue}", Name, Offset);
        }

        return AsWeights(codec, shape);
    }

    /// <summary>Bytes of the tensor from <paramref name="offset"/> on as wire bytes of a codec.</summary>
    internal QuantizedTensor AsWeights(QuantCodec codec, QuantShape shape, long offset = 0)
    {
        long count = checked(codec.GetByteCount(shape.Columns) * shape.TotalRows);
        if (offset < 0 || offset > ByteCount - count)
        {
            Throw.RangeOutsideTensor(Name, offset, count, ByteCount);
        }

        return QuantizedTensor.FromPlanes(codec, shape, _shard.File.Plane(Offset + offset, count));
    }

    /// <summary>
    /// Copies part of the tensor's bytes by reading the file, not through the mapping: a run through a large file then leaves none of its
    /// pages resident.
    /// </summary>
    /// <param name="offset">First byte, counted from the start of the tensor.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the tensor.</exception>
    /// <exception cref="IOException">The file cannot be read, or became shorter.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        _shard.File.Read(Offset + offset, destination);
    }

    /// <summary>All bytes of the tensor as a plane of a quantized one.</summary>
    internal TensorPlane AsPlane() => _shard.File.Plane(Offset, ByteCount);

    /// <summary>Bytes of the tensor through the mapping, which stay until they are given back; the range was checked.</summary>
    internal HeldBytes Acquire(long offset, int count) => _shard.File.Acquire(Offset + offset, count);

    /// <summary>Decodes bytes of the tensor without touching the mapping; the range was checked.</summary>
    internal void Decode(long offset, QuantCodec codec, Span<float> destination) =>
        _shard.File.Decode(Offset + offset, codec, destination);

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {ElementType} [{string.Join(", ", Shape)}]";
}
