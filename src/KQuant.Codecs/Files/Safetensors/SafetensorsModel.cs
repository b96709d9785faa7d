using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// Safetensors files as a model: the tensors as they are stored, without a config that tells what they mean. For a checkpoint folder use
/// <see cref="ModelFolder"/>, which knows quantized modules and stacks experts.
/// </summary>
public sealed class SafetensorsModel : ModelSource
{
    private readonly ModelTensor[] _tensors;
    private readonly Dictionary<string, ModelTensor> _byName = [];

    /// <summary>Wraps an open file.</summary>
    /// <param name="file">The file; it is disposed with the model.</param>
    public SafetensorsModel(SafetensorsFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        File = file;
        _tensors = [.. file.Tensors.Select(tensor => CheckpointTensor.Plain(tensor.Name, tensor))];
        foreach (ModelTensor tensor in _tensors)
        {
            _byName.Add(tensor.Name, tensor);
        }
    }

    /// <summary>The file or files.</summary>
    public SafetensorsFile File { get; }

    /// <inheritdoc/>
    public override string Path => File.Path;

    /// <summary>Null: nothing in the file tells.</summary>
    public override string? Architecture => null;

    /// <inheritdoc/>
    public override IReadOnlyList<ModelTensor> Tensors => _tensors;

    /// <summary>Opens a file, an index, or the shards in a folder.</summary>
    /// <param name="path">See <see cref="SafetensorsFile.Open"/>.</param>
    /// <returns>The model; dispose it to close the files.</returns>
    /// <exception cref="ModelFormatException">A file is not well-formed; see <see cref="SafetensorsFile.Open"/>.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static new SafetensorsModel Open(string path) => new(SafetensorsFile.Open(path));

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
}
