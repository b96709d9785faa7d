using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// A model opened for reading: a table of tensors, and nothing in memory but the table. <see cref="Open"/> opens models of every kind; other
/// sources of tensors derive from this class, or from <see cref="GgufSource"/> to be converted.
/// </summary>
public abstract class ModelSource : IDisposable
{
    /// <summary>The path that was opened.</summary>
    public abstract string Path { get; }

    /// <summary>
    /// What kind of model it is, for those who know architectures: a GGUF's <c>general.architecture</c>, a checkpoint's
    /// <c>model_type</c>; null when nothing tells.
    /// </summary>
    public abstract string? Architecture { get; }

    /// <summary>All tensors, in an order that reads the files from front to back.</summary>
    public abstract IReadOnlyList<ModelTensor> Tensors { get; }

    /// <summary>
    /// Opens what a path shows: a checkpoint folder as <see cref="ModelFolder"/>, safetensors files or a folder of them without
    /// <c>config.json</c> as <see cref="SafetensorsModel"/>, a GGUF file as <see cref="GgufModel"/>, a NumPy array as <see cref="NpyModel"/>.
    /// </summary>
    /// <param name="path">A file or a folder.</param>
    /// <returns>The model; dispose it to close its files.</returns>
    /// <exception cref="FileNotFoundException">There is no such file or folder.</exception>
    /// <exception cref="ModelFormatException">It is none of these, or not well-formed.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static ModelSource Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            return File.Exists(System.IO.Path.Combine(path, ConfigFile.Name)) ? ModelFolder.Open(path) : SafetensorsModel.Open(path);
        }

        if (FileKinds.Get(path) == FileKind.Missing)
        {
            string aside = FolderSwap.FindAside(path) is { } old
                ? $"; {old} is the model that was there when a process that replaced it was killed: rename it, or write there again"
                : "";
            throw new FileNotFoundException($"{path}: there is no such file or folder{aside}.", path);
        }

        // A file that only claims to be a GGUF is opened as one too: that reader says best what is wrong with it.
        if (GgufFile.HasMagic(path) || HasExtension(path, ".gguf"))
        {
            return GgufModel.Open(path);
        }

        if (HasExtension(path, ".npy"))
        {
            return NpyModel.Open(path);
        }

        return HasExtension(path, ".safetensors") || HasExtension(path, ".json")
            ? SafetensorsModel.Open(path)
            : throw new ModelFormatException(path, "this is neither a GGUF file nor .safetensors nor .npy nor a checkpoint folder");
    }

    /// <summary>Looks a tensor up.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, or null.</param>
    /// <returns>Whether there is one.</returns>
    public abstract bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor);

    /// <summary>Closes the files. What reads meanwhile ends, what begins later throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the files.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected abstract void Dispose(bool disposing);

    private static bool HasExtension(string path, string extension) =>
        System.IO.Path.GetExtension(path).Equals(extension, StringComparison.OrdinalIgnoreCase);
}
