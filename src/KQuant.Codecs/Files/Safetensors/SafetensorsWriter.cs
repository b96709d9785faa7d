using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace KQuant.Codecs.Files;

/// <summary>
/// Writes safetensors models as a stream: first every tensor is declared, then a header is written and each tensor asked for its bytes in
/// turn, so that the memory needed is that of one tensor's callback, whatever the model's size.
/// </summary>
/// <remarks>
/// Files appear only when they are complete. Inside a file the tensors whose length is a multiple of 64 bytes come first, then those of 32,
/// 16 ... 1, else in the order of declaration: every tensor then begins at a multiple of its element size, as in files of the reference
/// writer, which orders them by type to the same end. The header is padded with spaces to a multiple of 8, so that the data begins at one.
/// </remarks>
public sealed class SafetensorsWriter
{
    /// <summary>Shards of 5 GiB, as mlx-lm cuts them.</summary>
    public const long DefaultMaxShardBytes = 5L << 30;

    private const int HeaderAlignment = 8;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private static readonly JsonWriterOptions IndexOptions = new()
    {
        Indented = true,
        IndentSize = 4,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly List<Entry> _entries = [];
    private readonly HashSet<string> _names = [];

    /// <summary>The <c>__metadata__</c> of every file; <c>{"format": "mlx"}</c> by default, nothing when empty.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = ImmutableDictionary<string, string>.Empty.Add("format", "mlx");

    /// <summary>Tensor bytes after which <see cref="WriteFolder"/> begins a new shard. A larger tensor has a shard of its own.</summary>
    public long MaxShardBytes { get; init; } = DefaultMaxShardBytes;

    /// <summary>Weights of the model, written to the index when it is known.</summary>
    public long? TotalParameters { get; set; }

    /// <summary>Whether <see cref="Write"/> keeps the order of declaration, wherever that lets tensors begin.</summary>
    internal bool KeepsOrder { get; init; }

    /// <summary>Tensors declared so far.</summary>
    public int Count => _entries.Count;

    /// <summary>Bytes of the tensors declared so far.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Declares a tensor.</summary>
    /// <param name="name">Its name, new and not <c>__metadata__</c>.</param>
    /// <param name="type">The element type.</param>
    /// <param name="shape">Dimensions, outermost first; none for a scalar.</param>
    /// <param name="write">Called once, when it is the tensor's turn; it writes exactly the bytes of the tensor, little-endian.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the shape has no size in bytes.</exception>
    public void Add(string name, ElementType type, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(write);
        CheckName(name);
        foreach (long dimension in shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(dimension, nameof(shape));
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(shape.Length, SafetensorsLimits.MaxDimensions, nameof(shape));
        if (!ElementTypes.TryGetByteCount(type, shape, out long byteCount))
        {
            throw new ArgumentException(
                $"Tensor '{name}': {type} [{string.Join(", ", shape.ToArray())}] has no size in bytes.", nameof(shape));
        }

        if (!_names.Add(name))
        {
            throw new ArgumentException($"There is a tensor '{name}' already.", nameof(name));
        }

        _entries.Add(new Entry(name, type, [.. shape], byteCount, write));
        TotalBytes = checked(TotalBytes + byteCount);
    }

    /// <summary>Declares a tensor whose bytes are in memory.</summary>
    /// <param name="name">Its name, new and not <c>__metadata__</c>.</param>
    /// <param name="type">The element type.</param>
    /// <param name="shape">Dimensions, outermost first; none for a scalar.</param>
    /// <param name="data">The bytes, little-endian.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the length does not fit the shape.</exception>
    public void Add(string name, ElementType type, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> data)
    {
        if (ElementTypes.TryGetByteCount(type, shape, out long byteCount) && byteCount != data.Length)
        {
            throw new ArgumentException($"Tensor '{name}' has {byteCount} bytes; {data.Length} were given.", nameof(data));
        }

        Add(name, type, shape, stream => stream.Write(data.Span));
    }

    /// <summary>Writes all tensors into one file, whatever its size.</summary>
    /// <param name="path">The file; one that exists is replaced when the new one is complete.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels between two writes of a callback; nothing is left behind.</param>
    /// <exception cref="InvalidOperationException">A callback wrote another number of bytes than its tensor has.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public void Write(string path, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var output = new OutputFile(path);
        WriteTo(output.Stream, progress, cancellationToken);
        output.Commit();
    }

    /// <summary>Writes all tensors as one file to a stream.</summary>
    internal void WriteTo(Stream stream, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default) =>
        WriteShard(stream, KeepsOrder ? [.. _entries] : InFileOrder(_entries), new Reporter(this, progress), cancellationToken);

    /// <summary>
    /// Writes all tensors into a folder: <c>model.safetensors</c>, or <c>model-00001-of-0000N.safetensors</c> when they exceed
    /// <see cref="MaxShardBytes"/>, and <c>model.safetensors.index.json</c>.
    /// </summary>
    /// <param name="folder">The folder; it is created when missing.</param>
    /// <param name="overwrite">Whether the folder may have content; it is replaced as a whole, and all but the weights of an older model moves over.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels between two writes of a callback; nothing is left behind.</param>
    /// <exception cref="InvalidOperationException">A callback wrote another number of bytes than its tensor has.</exception>
    /// <exception cref="IOException">The folder has content and may not, or a file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public void WriteFolder(
        string folder, bool overwrite = false, IProgress<ModelProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using var output = new OutputFolder(folder, overwrite);
        WriteTo(output, progress, cancellationToken);
        output.Commit();
    }

    internal void WriteTo(OutputFolder folder, IProgress<ModelProgress>? progress, CancellationToken cancellationToken)
    {
        List<List<Entry>> shards = Split();
        var reporter = new Reporter(this, progress);
        var shardOf = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < shards.Count; i++)
        {
            string name = shards.Count == 1
                ? "model.safetensors"
                : string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors");
            Entry[] entries = InFileOrder(shards[i]);
            folder.Write(name, stream => WriteShard(stream, entries, reporter, cancellationToken));
            foreach (Entry entry in entries)
            {
                shardOf.Add(entry.Name, name);
            }
        }

        folder.Write(SafetensorsFile.IndexName, stream => WriteIndex(stream, shardOf));
    }

    /// <summary>Cuts as mlx-lm does: a shard ends before the tensor that would make it too large.</summary>
    private List<List<Entry>> Split()
    {
        List<List<Entry>> shards = [[]];
        long size = 0;
        foreach (Entry entry in _entries)
        {
            if (size + entry.ByteCount > MaxShardBytes && shards[^1].Count > 0)
            {
                shards.Add([]);
                size = 0;
            }

            shards[^1].Add(entry);
            size += entry.ByteCount;
        }

        return shards;
    }

    private static Entry[] InFileOrder(List<Entry> entries) =>
        [.. entries.OrderByDescending(entry => Math.Min(6, BitOperations.TrailingZeroCount(entry.ByteCount)))];

    private void WriteShard(Stream stream, Entry[] entries, Reporter reporter, CancellationToken cancellationToken)
    {
        ReadOnlySpan<byte> header = BuildHeader(entries);
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        foreach (Entry entry in entries)
        {
            cancellationToken.ThrowIfCancellationRequested();
            reporter.Begin(entry.Name);
            using var part = new TensorStream(stream, entry.Name, entry.ByteCount, reporter, cancellationToken);
            entry.Write(part);
            part.Complete();
        }
    }

    private ReadOnlySpan<byte> BuildHeader(Entry[] entries)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (Metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in Metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            long begin = 0;
            foreach (Entry entry in entries)
            {
                WriteDescription(json, entry, begin);
                begin += entry.ByteCount;
            }

            json.WriteEndObject();
        }

        int padding = -buffer.WrittenCount & (HeaderAlignment - 1);
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        if (buffer.WrittenCount > SafetensorsLimits.MaxHeaderLength)
        {
            throw new InvalidOperationException(
                $"The header takes {buffer.WrittenCount} bytes; a safetensors file may have {SafetensorsLimits.MaxHeaderLength}.");
        }

        return buffer.WrittenSpan;
    }

    private static void WriteDescription(Utf8JsonWriter json, Entry entry, long begin)
    {
        json.WriteStartObject(entry.Name);
        json.WriteString("dtype"u8, entry.Type.ToString());
        json.WriteStartArray("shape"u8);
        foreach (long dimension in entry.Shape)
        {
            json.WriteNumberValue(dimension);
        }

        json.WriteEndArray();
        json.WriteStartArray("data_offsets"u8);
        json.WriteNumberValue(begin);
        json.WriteNumberValue(begin + entry.ByteCount);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void WriteIndex(Stream stream, SortedDictionary<string, string> shardOf)
    {
        using var json = new Utf8JsonWriter(stream, IndexOptions);
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        json.WriteNumber("total_size", TotalBytes);
        if (TotalParameters is long parameters)
        {
            json.WriteNumber("total_parameters", parameters);
        }

        json.WriteEndObject();
        json.WriteStartObject("weight_map");
        foreach ((string name, string shard) in shardOf)
        {
            json.WriteString(name, shard);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void CheckName(string name)
    {
        // The strict encoding throws an ArgumentException for half of a surrogate pair.
        if (StrictUtf8.GetByteCount(name) > SafetensorsLimits.MaxNameBytes || name == "__metadata__")
        {
            throw new ArgumentException(
                $"'{Printable.Shorten(name)}' cannot name a tensor: it is reserved or longer than {SafetensorsLimits.MaxNameBytes} bytes.",
                nameof(name));
        }
    }

    private sealed record Entry(string Name, ElementType Type, ImmutableArray<long> Shape, long ByteCount, Action<Stream> Write);

    /// <summary>Turns bytes of single tensors into the progress of the whole.</summary>
    private sealed class Reporter(SafetensorsWriter writer, IProgress<ModelProgress>? progress) : IProgress<long>
    {
        private int _index = -1;
        private string _name = "";
        private long _written;

        public void Begin(string name)
        {
            _index++;
            _name = name;
            Report(0);
        }

        public void Report(long value)
        {
            _written += value;
            progress?.Report(new ModelProgress
            {
                TensorName = _name,
                TensorIndex = _index,
                TensorCount = writer.Count,
                BytesDone = _written,
                TotalBytes = writer.TotalBytes,
            });
        }
    }
}
