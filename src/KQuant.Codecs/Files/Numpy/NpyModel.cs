using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>A NumPy array as a model of one tensor, which has the name of the file without <c>.npy</c>.</summary>
public sealed class NpyModel : IModelSource
{
    private readonly IModelTensorSource[] _tensors;

    /// <summary>Wraps an open array.</summary>
    /// <param name="file">The array; it is disposed with the model.</param>
    public NpyModel(NpyFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        File = file;
        _tensors = [new Source(file)];
    }

    /// <summary>The array.</summary>
    public NpyFile File { get; }

    /// <inheritdoc/>
    public string Path => File.Path;

    /// <summary>Null: an array says nothing about a model.</summary>
    public string? Architecture => null;

    /// <inheritdoc/>
    public IReadOnlyList<IModelTensorSource> Tensors => _tensors;

    /// <summary>Opens an array.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The model; dispose it to close the file.</returns>
    /// <exception cref="ModelFormatException">The file is not well-formed; see <see cref="NpyFile.Open"/>.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static NpyModel Open(string path) => new(NpyFile.Open(path));

    /// <inheritdoc/>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out IModelTensorSource? tensor)
    {
        tensor = name == _tensors[0].Name ? _tensors[0] : null;
        return tensor is not null;
    }

    /// <inheritdoc/>
    public void Dispose() => File.Dispose();

    private sealed class Source(NpyFile file) : IModelTensorSource
    {
        public string Name { get; } = System.IO.Path.GetFileNameWithoutExtension(file.Path);

        public ImmutableArray<long> Shape => file.Shape;

        public QuantCodec? Codec => file.ElementType.TryGetCodec(out QuantCodec? codec) ? codec : null;

        public string FormatName => file.ElementType.ToString().ToLowerInvariant();

        public long ByteCount => file.ByteCount;

        public void ReadBytes(long offset, Span<byte> destination) => file.ReadBytes(offset, destination);

        public void ReadRows(long firstRow, Span<float> destination)
        {
            QuantCodec? codec = Codec;
            if (codec is null)
            {
                Throw.NotWeights(file.Path, Name, FormatName);
            }

            QuantShape shape = this.GetQuantShape();
            if (TensorRows.CountRows(Name, firstRow, destination.Length, shape.Columns, shape.TotalRows) > 0)
            {
                file.Decode(firstRow * codec.GetByteCount(shape.Columns), codec, destination);
            }
        }

        public QuantizedTensor Load() => file.AsWeights();

        public override string ToString() => $"{Name} {FormatName} [{string.Join(", ", Shape)}]";
    }
}
