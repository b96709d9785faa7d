using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>A NumPy array as a model of one tensor, which has the name of the file without <c>.npy</c>.</summary>
public sealed class NpyModel : ModelSource
{
    private readonly ModelTensor[] _tensors;

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
    public override string Path => File.Path;

    /// <summary>Null: an array says nothing about a model.</summary>
    public override string? Architecture => null;

    /// <inheritdoc/>
    public override IReadOnlyList<ModelTensor> Tensors => _tensors;

    /// <summary>Opens an array.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The model; dispose it to close the file.</returns>
    /// <exception cref="ModelFormatException">The file is not well-formed; see <see cref="NpyFile.Open"/>.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static new NpyModel Open(string path) => new(NpyFile.Open(path));

    /// <inheritdoc/>
    public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor)
    {
        tensor = name == _tensors[0].Name ? _tensors[0] : null;
        return tensor is not null;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            File.Dispose();
        }
    }

    private sealed class Source(NpyFile file) : ModelTensor
    {
        public override string Name { get; } = System.IO.Path.GetFileNameWithoutExtension(file.Path);

        public override ImmutableArray<long> Shape => file.Shape;

        public override QuantCodec? Codec => file.ElementType.TryGetCodec(out QuantCodec? codec) ? codec : null;

        public override string FormatName => file.ElementType.ToString().ToLowerInvariant();

        public override long ByteCount => file.ByteCount;

        public override void ReadBytes(long offset, Span<byte> destination) => file.ReadBytes(offset, destination);

        public override void ReadRows(long firstRow, Span<float> destination)
        {
            QuantCodec? codec = Codec;
            if (codec is null)
            {
                Throw.NotWeights(file.Path, Name, FormatName);
            }

            QuantShape shape = GetQuantShape();
            if (TensorRows.CountRows(Name, firstRow, destination.Length, shape.Columns, shape.TotalRows) > 0)
            {
                file.Decode(firstRow * codec.GetByteCount(shape.Columns), codec, destination);
            }
        }

        public override QuantizedTensor Load() => file.AsWeights();
    }
}
