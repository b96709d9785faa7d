using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>
/// Low-rank adapters of a model (LoRA), read into memory from what mlx-lm, PEFT or llama.cpp store. Nothing of it depends on the model yet;
/// that it fits one is checked where the two meet.
/// </summary>
public sealed class LoraAdapter
{
    /// <summary>The file beside the tensors of mlx-lm and PEFT.</summary>
    internal const string ConfigName = "adapter_config.json";

    /// <summary>The tensors of mlx-lm; checkpoints of a training have a number before it.</summary>
    internal const string MlxName = "adapters.safetensors";

    /// <summary>The tensors of PEFT.</summary>
    internal const string PeftName = "adapter_model.safetensors";

    internal LoraAdapter(string path, AdapterFormat format, IReadOnlyList<LoraWeight> weights)
    {
        Path = path;
        Format = format;
        Weights = weights;
    }

    /// <summary>The path that was read.</summary>
    public string Path { get; }

    /// <summary>How it was stored.</summary>
    public AdapterFormat Format { get; }

    /// <summary>What it adds to each weight, in the order of the file.</summary>
    public IReadOnlyList<LoraWeight> Weights { get; }

    /// <summary>The model that it was made for, as the file names it; null if it does not.</summary>
    public string? BaseModel { get; init; }

    /// <summary>The architecture of that model in GGUF's words; null if the file does not name it.</summary>
    public string? Architecture { get; init; }

    /// <summary>Numbers of all parts.</summary>
    public long Parameters => Weights.Sum(weight => weight.Parameters);

    /// <summary>Reads an adapter.</summary>
    /// <param name="path">
    /// A folder of mlx-lm or PEFT, a GGUF file, or one of the <c>.safetensors</c> files of such a folder, which chooses among its checkpoints.
    /// </param>
    /// <returns>The adapter.</returns>
    /// <exception cref="FileNotFoundException">There is no such file or folder.</exception>
    /// <exception cref="ModelFormatException">
    /// It is none of these, a pickle, not well-formed, has a tensor that is no part of an adapter or a value that is not finite, or computes
    /// something that is not known here.
    /// </exception>
    /// <example>
    /// <code>
    /// LoraAdapter adapter = LoraAdapter.Load("my-adapter");
    /// Console.WriteLine($"{adapter.Format}, {adapter.Weights.Count} weights, {adapter.Parameters} parameters");
    /// </code>
    /// </example>
    public static LoraAdapter Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            return LoadFolder(path, FindTensors(path));
        }

        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path}: there is no such file or folder.", path);
        }

        if (GgufFile.HasMagic(path))
        {
            return GgufAdapterReader.Read(path);
        }

        return path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            ? LoadFolder(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!, path)
            : throw (IsPickle(path) ? Pickle(path) : new ModelFormatException(path, "this is neither a GGUF file nor a .safetensors file beside its adapter_config.json"));
    }

    /// <summary>Writes the adapter in a format, bit by bit the same wherever the format allows it.</summary>
    /// <param name="path">The folder or file. It appears when it is complete.</param>
    /// <param name="format">The format.</param>
    /// <param name="options">How; null for the default.</param>
    /// <returns>What became different in the file, and does the same; one sentence each.</returns>
    /// <exception cref="NotSupportedException">The format cannot say what the adapter does, or the model must be known for it.</exception>
    /// <exception cref="IOException">The output exists and may not, or cannot be written.</exception>
    /// <example>
    /// <code>
    /// var adapter = LoraAdapter.Load("my-adapter");
    /// using var model = ModelSource.Open("Qwen3-0.6B");
    /// adapter.Save("my-adapter.gguf", AdapterFormat.Gguf, new AdapterSaveOptions { Model = ModelConfig.Read(model) });
    /// </code>
    /// </example>
    public IReadOnlyList<string> Save(string path, AdapterFormat format, AdapterSaveOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new AdapterSaveOptions();
        if (AdapterFit.WhyNot(this, format, options.Model) is { } reason)
        {
            throw new NotSupportedException($"{Path}: {reason}.");
        }

        return format switch
        {
            AdapterFormat.MlxLm => MlxAdapterWriter.Write(this, path, options),
            AdapterFormat.Peft => PeftAdapterWriter.Write(this, path, options),
            AdapterFormat.Gguf => GgufAdapterWriter.Write(this, path, options),
            _ => throw new ArgumentOutOfRangeException(nameof(format), format, "There is no such format."),
        };
    }

    /// <summary>Who can load what the adapter does: in its own format as it is, in others once it is converted.</summary>
    /// <param name="model">The model that it is for; null if it is not known.</param>
    internal IReadOnlyList<AdapterReader> GetReaders(ModelConfig? model) =>
        [.. Enum.GetValues<AdapterFormat>().Select(format => new AdapterReader(format, AdapterFit.WhyNotLoaded(this, format, model)))];

    /// <inheritdoc/>
    public override string ToString() => $"{Path} {Format}, {Weights.Count} weights";

    private static LoraAdapter LoadFolder(string folder, string tensors)
    {
        string config = System.IO.Path.Combine(folder, ConfigName);
        return PeftAdapterReader.IsConfig(ConfigFile.Read(config)) ? PeftAdapterReader.Read(folder, tensors) : MlxAdapterReader.Read(folder, tensors);
    }

    private static string FindTensors(string folder)
    {
        string mlx = System.IO.Path.Combine(folder, MlxName), peft = System.IO.Path.Combine(folder, PeftName);
        if (File.Exists(mlx) && File.Exists(peft))
        {
            throw new ModelFormatException(folder, $"the folder has both {MlxName} and {PeftName}; name the file that is meant");
        }

        string? pickle = Directory.EnumerateFiles(folder, "adapter*").Order(StringComparer.Ordinal)
            .FirstOrDefault(file => System.IO.Path.GetExtension(file) is ".bin" or ".pt" or ".pth" or ".ckpt");
        return File.Exists(mlx) ? mlx : File.Exists(peft) ? peft
            : throw (pickle is not null ? Pickle(pickle) : new ModelFormatException(folder, $"the folder has neither {MlxName} nor {PeftName}"));
    }

    /// <summary>Whether a file begins as Python's pickles do, bare or in the archives of PyTorch.</summary>
    private static bool IsPickle(string path)
    {
        FileKinds.CheckReadable(path);
        using FileStream stream = File.OpenRead(path);
        Span<byte> start = stackalloc byte[4];
        int count = stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        return start[..count].StartsWith("PK\u0003\u0004"u8) || (count > 1 && start[0] == 0x80 && start[1] is > 0 and < 6);
    }

    private static ModelFormatException Pickle(string path) =>
        new(path, "this is a pickle, which is a program and is not run; save the adapter as safetensors");
}
