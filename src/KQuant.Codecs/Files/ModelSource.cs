namespace KQuant.Codecs.Files;

/// <summary>Opens models of every kind.</summary>
public static class ModelSource
{
    /// <summary>
    /// Opens what a path shows: a checkpoint folder as <see cref="ModelFolder"/>, safetensors files or a folder of them without
    /// <c>config.json</c> as <see cref="SafetensorsModel"/>, a GGUF file as <see cref="GgufModel"/>, a NumPy array as <see cref="NpyModel"/>.
    /// </summary>
    /// <param name="path">A file or a folder.</param>
    /// <returns>The model; dispose it to close its files.</returns>
    /// <exception cref="FileNotFoundException">There is no such file or folder.</exception>
    /// <exception cref="ModelFormatException">It is none of these, or not well-formed.</exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static IModelSource Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            return File.Exists(Path.Combine(path, ConfigFile.Name)) ? ModelFolder.Open(path) : SafetensorsModel.Open(path);
        }

        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path}: there is no such file or folder.", path);
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

    private static bool HasExtension(string path, string extension) =>
        Path.GetExtension(path).Equals(extension, StringComparison.OrdinalIgnoreCase);
}
