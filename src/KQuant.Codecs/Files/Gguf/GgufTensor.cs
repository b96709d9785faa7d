using System.Collections.Immutable;

namespace KQuant.Codecs.Files;

/// <summary>
/// One tensor of a <see cref="GgufFile"/>: its description, checked against the file's length when it was opened, and access to its bytes,
/// which stay in the memory-mapped file.
/// </summary>
public sealed class GgufTensor
{
    internal GgufTensor(MappedFile file, string name, ImmutableArray<long> dimensions, long elementCount, uint typeId)
    {
        File = file;
        Name = name;
        Dimensions = dimensions;
        ElementCount = elementCount;
        TypeId = typeId;
        Type = GgmlType.TryGet(typeId, out GgmlType? type) ? type : null;
        ByteCount = Type is null ? null : elementCount / Type.WeightsPerBlock * Type.BytesPerBlock;
    }

    /// <summary>The name, such as <c>blk.0.ffn_down.weight</c>.</summary>
    public string Name { get; }

    /// <summary>The dimensions in GGUF order, the row length first; 0 to 4 of them.</summary>
    public ImmutableArray<long> Dimensions { get; }

    /// <summary>The product of the dimensions; 1 for a scalar without dimensions.</summary>
    public long ElementCount { get; }

    /// <summary>The GGML type id as the file has it.</summary>
    public uint TypeId { get; }

    /// <summary>The type, or null if ggml has none of this id (or none any more).</summary>
    public GgmlType? Type { get; }

    /// <summary>The codec, or null if there is none for this type.</summary>
    public QuantCodec? Codec => Type?.Codec;

    /// <summary>The name of the type, or <c>type 77</c>.</summary>
    public string TypeName => Type?.Name ?? $"type {TypeId}";

    /// <summary>Bytes of the data; may exceed 2 GiB; null if the type is not known.</summary>
    public long? ByteCount { get; }

    /// <summary>Bytes up to the next tensor, or to the end of the file, of a tensor whose type is not known: what can be copied of it.</summary>
    internal long StoredByteCount { get; set; }

    /// <summary>Where the data begins in its file.</summary>
    public long Offset { get; internal set; }

    /// <summary>Path of the file that holds the data: one of several if the model is split.</summary>
    public string FilePath => File.Path;

    internal MappedFile File { get; }

    /// <summary>All bytes of the tensor where they lie; see <see cref="UnsafeGetBytes(long, int)"/>.</summary>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ModelFormatException">The type is not known, so its size is not either, or there are more than 2 GiB.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public ReadOnlySpan<byte> UnsafeGetBytes()
    {
        long byteCount = KnownByteCount();
        return byteCount <= int.MaxValue
            ? UnsafeGetBytes(0, (int)byteCount)
            : throw Error($"{byteCount} bytes do not fit into one span; get a part of them at a time");
    }

    /// <summary>
    /// Part of the tensor's bytes where they lie. Nothing keeps them there: once the file is disposed or collected, touching the span ends the
    /// process. <see cref="ReadBytes"/> is the ordinary form.
    /// </summary>
    /// <param name="offset">First byte, counted from the start of the tensor.</param>
    /// <param name="count">Number of bytes.</param>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the tensor.</exception>
    /// <exception cref="ModelFormatException">The type is not known, so its size is not either.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public ReadOnlySpan<byte> UnsafeGetBytes(long offset, int count)
    {
        long byteCount = KnownByteCount();
        if (offset < 0 || count < 0 || offset > byteCount - count)
        {
            Throw.RangeOutsideTensor(Name, offset, count, byteCount);
        }

        // An empty tensor may lie behind the end of the file, where no byte has an address.
        return count == 0 ? default : File.UnsafeBytes(Offset + offset, count);
    }

    /// <summary>
    /// Copies part of the tensor's bytes by reading the file, not through the mapping: a run through a large file then leaves none of its
    /// pages resident.
    /// </summary>
    /// <param name="offset">First byte, counted from the start of the tensor.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the tensor.</exception>
    /// <exception cref="ModelFormatException">The type is not known, so its size is not either.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public void ReadBytes(long offset, Span<byte> destination)
    {
        long byteCount = KnownByteCount();
        if (offset < 0 || offset > byteCount - destination.Length)
        {
            Throw.RangeOutsideTensor(Name, offset, destination.Length, byteCount);
        }

        if (!destination.IsEmpty)
        {
            File.Read(Offset + offset, destination);
        }
    }

    /// <summary>
    /// The tensor as weights: dimensions <c>[K, N, E]</c> are E experts of N rows of K columns, a vector is one row, a fourth dimension is
    /// folded into the experts. A tensor without elements has no rows, whatever its other dimensions claim.
    /// </summary>
    /// <returns>A view that is valid until the file is disposed.</returns>
    /// <exception cref="NotSupportedException">The type has no codec; the message names the codecs.</exception>
    /// <exception cref="ModelFormatException">The type is not known, or a row is longer than 2^31 - 1 weights.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public QuantizedTensor AsWeights()
    {
        long byteCount = KnownByteCount();
        QuantCodec? codec = Codec;
        if (codec is null)
        {
            Throw.NotWeights(FilePath, Name, $"{TypeName} (GGML type {TypeId})");
        }

        return QuantizedTensor.FromPlanes(codec, GetShape(), byteCount == 0 ? default : File.Plane(Offset, byteCount));
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {TypeName} [{string.Join(", ", Dimensions)}]";

    /// <summary>Copies bytes of a tensor of whatever type; the range was checked.</summary>
    internal void ReadStored(long offset, Span<byte> destination) => File.Read(Offset + offset, destination);

    internal ModelFormatException Error(string problem) => new(FilePath, problem, Name, Offset);

    private QuantShape GetShape()
    {
        long columns = Dimensions.IsEmpty ? 1 : Dimensions[0];
        if (columns > int.MaxValue)
        {
            throw Error($"a row of {columns} weights is longer than {int.MaxValue}");
        }

        if (ElementCount == 0)
        {
            return QuantShape.Stack(1, 0, (int)columns);
        }

        long rows = Dimensions.Length > 1 ? Dimensions[1] : 1;
        return QuantShape.Stack(ElementCount / columns / rows, rows, (int)columns);
    }

    private long KnownByteCount() => ByteCount
        ?? throw Error($"GGML type {TypeId} is not known, so the data cannot be read; the types are {GgmlType.NameList}");
}
