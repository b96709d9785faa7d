using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using CommunityToolkit.HighPerformance.Buffers;

namespace KQuant.Codecs.Files;

/// <summary>
/// Writes GGUF files of version 3 as a stream: first every tensor is declared, then the header is written and each tensor asked for its
/// bytes in turn, so that the memory needed is that of one tensor's callback, whatever the model's size.
/// </summary>
/// <remarks>
/// The layout is ggml's, to the byte: keys and tensors in the order in which they were added, data in the same order without gaps, each
/// tensor and the start of the data padded with zeros to <c>general.alignment</c>. The file appears only when it is complete.
/// </remarks>
public sealed class GgufWriter
{
    private const int MaxNameBytes = 63;
    private const int MaxDimensions = 4;
    private const int CopyChunkBytes = 1 << 20;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly List<Entry> _entries = [];
    private readonly HashSet<string> _names = [];

    /// <summary>Creates a writer without metadata.</summary>
    public GgufWriter()
        : this(new GgufMetadata())
    {
    }

    /// <summary>Creates a writer.</summary>
    /// <param name="metadata">Keys to start with, copied. If they come from an open file, it must stay open until they are written.</param>
    public GgufWriter(GgufMetadata metadata) => Metadata = new GgufMetadata(metadata);

    /// <summary>The metadata to write; it may be changed until then.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>Tensors declared so far.</summary>
    public int Count => _entries.Count;

    /// <summary>Bytes of the tensors declared so far, without padding.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>The exact length of the file as it would be written now, in bytes.</summary>
    /// <exception cref="ModelFormatException"><c>general.alignment</c> is no u32 or no power of two.</exception>
    public long FileLength
    {
        get
        {
            long alignment = Metadata.Alignment;
            return _entries.Aggregate(Align(HeaderLength(), alignment), (length, entry) => length + Align(entry.ByteCount, alignment));
        }
    }

    /// <summary>Declares a tensor of any known type.</summary>
    /// <param name="name">Its name: new, at most 63 bytes of UTF-8.</param>
    /// <param name="dimensions">The dimensions in GGUF order, row length first; at most 4. Trailing ones are dropped, as ggml does.</param>
    /// <param name="type">The type; rows must be whole blocks.</param>
    /// <param name="write">Called once, when it is the tensor's turn; it writes exactly the bytes of the tensor.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the dimensions have no size in bytes.</exception>
    public void Add(string name, ReadOnlySpan<long> dimensions, GgmlType type, Action<Stream> write)
    {
        while (dimensions.Length > 1 && dimensions[^1] == 1)
        {
            dimensions = dimensions[..^1];
        }

        ArgumentNullException.ThrowIfNull(type);
        AddExactly(name, [.. dimensions], type.Id, GetByteCount(name, dimensions, type), write);
    }

    /// <summary>Declares a tensor whose bytes are in memory.</summary>
    /// <param name="name">Its name: new, at most 63 bytes of UTF-8.</param>
    /// <param name="dimensions">The dimensions in GGUF order, row length first; at most 4. Trailing ones are dropped, as ggml does.</param>
    /// <param name="type">The type; rows must be whole blocks.</param>
    /// <param name="data">Exactly the bytes of the tensor; kept until they are written.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the length does not fit the dimensions.</exception>
    public void Add(string name, ReadOnlySpan<long> dimensions, GgmlType type, ReadOnlyMemory<byte> data)
    {
        ArgumentNullException.ThrowIfNull(type);
        long byteCount = GetByteCount(name, dimensions, type);
        if (byteCount != data.Length)
        {
            throw new ArgumentException($"Tensor '{name}' has {byteCount} bytes; {data.Length} were given.", nameof(data));
        }

        Add(name, dimensions, type, stream => stream.Write(data.Span));
    }

    /// <summary>Declares weights that will be encoded on the way.</summary>
    /// <param name="name">Its name: new, at most 63 bytes of UTF-8.</param>
    /// <param name="shape">The shape; written as <c>[columns, rows, experts]</c> without trailing ones.</param>
    /// <param name="format">The format; rows must be whole blocks.</param>
    /// <param name="write">Called once, when it is the tensor's turn; it writes exactly the wire bytes, row by row.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the shape has no size in bytes.</exception>
    public void Add(string name, QuantShape shape, QuantFormat format, Action<Stream> write) =>
        Add(name, [shape.Columns, shape.Rows, shape.Experts], GgmlType.Of(format), write);

    /// <summary>Declares weights that exist.</summary>
    /// <param name="name">Its name: new, at most 63 bytes of UTF-8.</param>
    /// <param name="tensor">The weights; kept until they are written.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible.</exception>
    /// <exception cref="NotSupportedException">GGML does not have the tensor's codec.</exception>
    public void Add(string name, QuantizedTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        Add(name, [tensor.Shape.Columns, tensor.Shape.Rows, tensor.Shape.Experts], GgmlType.Of(tensor.Codec), stream => CopyRows(tensor, stream));
    }

    /// <summary>
    /// Declares a copy of a tensor of another file: same name, same dimensions, same bytes, also of types without a codec. Of a type that
    /// nobody knows here all bytes up to the next tensor are copied.
    /// </summary>
    /// <param name="tensor">A tensor of a file that stays open until it is written.</param>
    /// <exception cref="ArgumentException">The name is taken, or longer than the 63 bytes that llama.cpp allows.</exception>
    public void Add(GgufTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        long byteCount = tensor.ByteCount ?? tensor.StoredByteCount;
        AddExactly(tensor.Name, tensor.Dimensions, tensor.TypeId, byteCount, stream => CopyBytes(tensor, byteCount, stream));
    }

    /// <summary>Writes the file.</summary>
    /// <param name="path">The file; one that exists is replaced when the new one is complete.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels between two writes of a callback; nothing is left behind.</param>
    /// <exception cref="InvalidOperationException">
    /// A callback wrote another number of bytes than its tensor has, or a key is too long.
    /// </exception>
    /// <exception cref="ModelFormatException"><c>general.alignment</c> is no u32 or no power of two.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public void Write(string path, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        cancellationToken.ThrowIfCancellationRequested();
        using var output = new OutputFile(path);
        Write(output.Stream, progress, cancellationToken);
        output.Commit();
    }

    /// <summary>Writes the file's bytes to a stream, from front to back.</summary>
    /// <param name="stream">Where they go. What was written before an error stays there.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels between two writes of a callback.</param>
    /// <exception cref="InvalidOperationException">
    /// A callback wrote another number of bytes than its tensor has, or a key is too long.
    /// </exception>
    /// <exception cref="ModelFormatException"><c>general.alignment</c> is no u32 or no power of two.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public void Write(Stream stream, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        long alignment = Metadata.Alignment;
        WriteHeader(stream, alignment);
        WritePadding(stream, HeaderLength(), alignment);
        long written = 0;
        for (int i = 0; i < _entries.Count; i++)
        {
            Entry entry = _entries[i];
            cancellationToken.ThrowIfCancellationRequested();
            var reporter = new Reporter(this, i, written, progress);
            using var part = new TensorStream(stream, entry.Name, entry.ByteCount, reporter, cancellationToken);
            entry.Write(part);
            part.Complete();
            WritePadding(stream, entry.ByteCount, alignment);
            written += entry.ByteCount;
        }
    }

    private static long Align(long length, long alignment) => checked(length + alignment - 1) / alignment * alignment;

    private static void CopyBytes(GgufTensor tensor, long byteCount, Stream stream)
    {
        using SpanOwner<byte> buffer = SpanOwner<byte>.Allocate((int)Math.Min(CopyChunkBytes, byteCount));
        for (long offset = 0; offset < byteCount; offset += CopyChunkBytes)
        {
            Span<byte> chunk = buffer.Span[..(int)Math.Min(CopyChunkBytes, byteCount - offset)];
            tensor.ReadStored(offset, chunk);
            stream.Write(chunk);
        }
    }

    private static void WriteValue(Stream stream, GgufValue value)
    {
        using HeldBytes held = value.Acquire();
        stream.Write(held.Span);
    }

    private static void CopyRows(QuantizedTensor tensor, Stream stream)
    {
        using TensorLease lease = tensor.Acquire();
        for (long offset = 0; offset < tensor.ByteCount; offset += CopyChunkBytes)
        {
            ref byte start = ref Unsafe.AddByteOffset(ref Unsafe.AsRef(in lease.Codes), (nint)offset);
            stream.Write(MemoryMarshal.CreateReadOnlySpan(ref start, (int)Math.Min(CopyChunkBytes, tensor.ByteCount - offset)));
        }
    }

    private static long GetByteCount(string name, ReadOnlySpan<long> dimensions, GgmlType type)
    {
        long columns = dimensions.IsEmpty ? 1 : dimensions[0];
        UInt128 elements = 1;
        bool fits = dimensions.Length <= MaxDimensions && columns % type.WeightsPerBlock == 0;
        foreach (long dimension in dimensions)
        {
            fits &= dimension >= 0 && (elements *= (ulong)dimension) <= long.MaxValue;
        }

        UInt128 byteCount = elements / (uint)type.WeightsPerBlock * (uint)type.BytesPerBlock;
        if (!fits || byteCount > long.MaxValue)
        {
            throw new ArgumentException(
                $"Tensor '{name}': {type.Name} [{string.Join(", ", dimensions.ToArray())}] has no size in bytes; at most {MaxDimensions} " +
                $"dimensions and rows of whole blocks of {type.WeightsPerBlock} are possible.",
                nameof(dimensions));
        }

        return (long)byteCount;
    }

    private static void WriteUInt32(Stream stream, uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        stream.Write(bytes);
    }

    private static void WriteInt64(Stream stream, long value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        stream.Write(bytes);
    }

    private static void WriteString(Stream stream, string text)
    {
        byte[] utf8 = StrictUtf8.GetBytes(text);
        WriteInt64(stream, utf8.Length);
        stream.Write(utf8);
    }

    private static void WritePadding(Stream stream, long length, long alignment)
    {
        Span<byte> zeros = stackalloc byte[256];
        zeros.Clear();
        long padding = Align(length, alignment) - length;
        while (padding > 0)
        {
            int count = (int)Math.Min(padding, zeros.Length);
            stream.Write(zeros[..count]);
            padding -= count;
        }
    }

    private void AddExactly(string name, ImmutableArray<long> dimensions, uint typeId, long byteCount, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(write);

        // The strict encoding throws an ArgumentException for half of a surrogate pair.
        int nameBytes = StrictUtf8.GetByteCount(name);
        if (nameBytes > MaxNameBytes || name.Contains('\0'))
        {
            throw new ArgumentException(
                $"'{Printable.Shorten(name)}' cannot name a tensor: it takes {nameBytes} bytes, and llama.cpp reads at most " +
                $"{MaxNameBytes} without NUL.",
                nameof(name));
        }

        if (!_names.Add(name))
        {
            throw new ArgumentException($"There is a tensor '{name}' already.", nameof(name));
        }

        _entries.Add(new Entry(name, dimensions, typeId, byteCount, write));
        TotalBytes = checked(TotalBytes + byteCount);
    }

    private long HeaderLength()
    {
        const int start = sizeof(uint) + sizeof(uint) + sizeof(ulong) + sizeof(ulong);
        long length = start;
        foreach ((string key, GgufValue value) in Metadata)
        {
            length += GgufWire.StringHeaderBytes + StrictUtf8.GetByteCount(key) + sizeof(uint) + value.ByteCount;
        }

        foreach (Entry entry in _entries)
        {
            length += GgufWire.StringHeaderBytes + StrictUtf8.GetByteCount(entry.Name);
            length += sizeof(uint) + (sizeof(long) * entry.Dimensions.Length) + sizeof(uint) + sizeof(ulong);
        }

        return length;
    }

    private void WriteHeader(Stream stream, long alignment)
    {
        WriteUInt32(stream, GgufHeaderReader.Magic);
        WriteUInt32(stream, 3);
        WriteInt64(stream, _entries.Count);
        WriteInt64(stream, Metadata.Count);
        foreach ((string key, GgufValue value) in Metadata)
        {
            if (StrictUtf8.GetByteCount(key) > GgufHeaderReader.MaxKeyBytes)
            {
                throw new InvalidOperationException(
                    $"Key '{Printable.Shorten(key)}' is longer than the {GgufHeaderReader.MaxKeyBytes} bytes of the format.");
            }

            WriteString(stream, key);
            WriteUInt32(stream, (uint)value.Type);
            WriteValue(stream, value);
        }

        long offset = 0;
        foreach (Entry entry in _entries)
        {
            WriteString(stream, entry.Name);
            WriteUInt32(stream, (uint)entry.Dimensions.Length);
            foreach (long dimension in entry.Dimensions)
            {
                WriteInt64(stream, dimension);
            }

            WriteUInt32(stream, entry.TypeId);
            WriteInt64(stream, offset);
            offset = checked(offset + Align(entry.ByteCount, alignment));
        }
    }

    private sealed record Entry(string Name, ImmutableArray<long> Dimensions, uint TypeId, long ByteCount, Action<Stream> Write);

    /// <summary>Turns bytes of one tensor into the progress of the whole.</summary>
    private sealed class Reporter(GgufWriter writer, int index, long written, IProgress<ModelProgress>? progress) : IProgress<long>
    {
        private long _written = written;

        public void Report(long value)
        {
            _written += value;
            progress?.Report(new ModelProgress
            {
                TensorName = writer._entries[index].Name,
                TensorIndex = index,
                TensorCount = writer.Count,
                BytesDone = _written,
                TotalBytes = writer.TotalBytes,
            });
        }
    }
}
