using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// A GGUF file as a model: its tensors under their GGUF names, with dimensions outermost first as everywhere else. Use <see cref="File"/>
/// for metadata and raw types.
/// </summary>
public sealed class GgufModel : GgufSource
{
    private readonly ModelTensor[] _tensors;
    private readonly Dictionary<string, ModelTensor> _byName = [];

    /// <summary>Wraps an open file.</summary>
    /// <param name="file">The file; it is disposed with the model.</param>
    public GgufModel(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        File = file;
        _tensors = [.. file.Tensors.Select(tensor => new Source(tensor))];
        foreach (ModelTensor tensor in _tensors)
        {
            _byName.Add(tensor.Name, tensor);
        }
    }

    /// <summary>The file.</summary>
    public GgufFile File { get; }

    /// <inheritdoc/>
    public override string Path => File.Path;

    /// <inheritdoc/>
    public override string? Architecture =>
        File.Metadata.TryGetValue("general.architecture", out GgufValue? value) && value.TryGet(out string name) ? name : null;

    /// <inheritdoc/>
    public override IReadOnlyList<ModelTensor> Tensors => _tensors;

    /// <inheritdoc/>
    public override GgufMetadata Metadata => File.Metadata;

    /// <summary>Opens a GGUF file; with the first part of a split model, all of its parts.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The model; dispose it to close the file.</returns>
    /// <exception cref="ModelFormatException">The file is not well-formed; see <see cref="GgufFile.Open"/>.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static new GgufModel Open(string path) => new(GgufFile.Open(path));

    /// <inheritdoc/>
    public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor) => _byName.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            File.Dispose();
        }
    }

    /// <summary>A tensor of the file; <see cref="Stored"/> is what it is made of.</summary>
    internal sealed class Source : ModelTensor
    {
        private readonly GgufTensor _tensor;
        private readonly long _rows;

        public Source(GgufTensor tensor)
        {
            _tensor = tensor;
            Shape = [.. tensor.Dimensions.Reverse()];
            _rows = TensorShapes.CountRows(Shape.AsSpan());
        }

        public GgufTensor Stored => _tensor;

        public override string Name => _tensor.Name;

        public override ImmutableArray<long> Shape { get; }

        public override QuantCodec? Codec => _tensor.Codec;

        public override string FormatName => _tensor.TypeName;

        // Of a type that nobody knows, only the dimensions are known.
        public override long ByteCount => _tensor.ByteCount ?? 0;

        public override void ReadBytes(long offset, Span<byte> destination) => _tensor.ReadBytes(offset, destination);

        public override void ReadRows(long firstRow, Span<float> destination)
        {
            QuantCodec? codec = Codec;
            if (codec is null)
            {
                Throw.NotWeights(_tensor.FilePath, Name, $"{FormatName} (GGML type {_tensor.TypeId})");
            }

            int columns = GetQuantShape().Columns;
            if (TensorRows.CountRows(Name, firstRow, destination.Length, columns, _rows) > 0)
            {
                _tensor.File.Decode(_tensor.Offset + (firstRow * codec.GetByteCount(columns)), codec, destination);
            }
        }

        public override QuantizedTensor Load() => _tensor.AsWeights();
    }
}
