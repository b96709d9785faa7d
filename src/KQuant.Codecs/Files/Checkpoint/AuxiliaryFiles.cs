using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// The files of a checkpoint that are neither weights nor their index nor <c>config.json</c>: tokenizers of every kind, chat templates,
/// generation and processor settings, licences. A conversion copies them.
/// </summary>
/// <remarks>
/// Links are followed only to where the folder itself, or the blob store of the Hugging Face cache that it is a snapshot of, keeps the
/// file: a downloaded folder cannot make a conversion publish other files of the machine.
/// </remarks>
public sealed class AuxiliaryFiles
{
    private const int MaxFiles = 10_000;
    private const int MaxDepth = 8;

    private static readonly HashSet<string> WeightExtensions = new(StringComparer.OrdinalIgnoreCase)
    {
        ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".h5", ".keras", ".msgpack", ".onnx", ".onnx_data", ".pb",
        ".tflite", ".npz", ".npy", ".ot", ".mlmodel", ".nemo", ".distcp", ".pkl", ".partial", ".incomplete",
    };

    /// <summary>How the names of the files begin without which a model is another one.</summary>
    private static readonly string[] PartsOfModels =
    [
        "config.json", "generation_config.json", "tokenizer", "vocab.", "merges.txt", "special_tokens_map.json", "added_tokens.json",
        "chat_template", "additional_chat_templates", "preprocessor_config.json", "processor_config.json", "spiece.model",
    ];

    private readonly string _root;
    private readonly string? _blobs;
    private readonly List<AuxiliaryFile> _files = [];
    private readonly List<AuxiliaryFile> _skipped = [];

    private AuxiliaryFiles(string folder)
    {
        _root = LinkResolver.RealPath(folder);
        string? parent = Path.GetDirectoryName(_root);
        _blobs = Path.GetFileName(parent) == "snapshots" ? Path.Combine(Path.GetDirectoryName(parent)!, "blobs") : null;
    }

    /// <summary>The files to copy.</summary>
    public IReadOnlyList<AuxiliaryFile> Files => _files;

    /// <summary>Links that lead out of the folder or nowhere, which are not copied.</summary>
    public IReadOnlyList<AuxiliaryFile> Skipped => _skipped;

    /// <summary>Lists a folder and its subfolders; names that begin with a dot are left out.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <returns>The files.</returns>
    /// <exception cref="ModelFormatException">The folder has more than 10,000 such files or is nested deeper than 8 levels.</exception>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    public static AuxiliaryFiles Find(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var result = new AuxiliaryFiles(folder);
        result.Walk(folder, "", 0);
        result._files.Sort(static (a, b) => string.CompareOrdinal(a.RelativePath, b.RelativePath));
        return result;
    }

    /// <summary>Looks a file up.</summary>
    /// <param name="relativePath">Its path below the folder, with <c>/</c>.</param>
    /// <param name="path">Where it is, or null.</param>
    /// <returns>Whether it is one of <see cref="Files"/>.</returns>
    internal bool TryFind(string relativePath, [NotNullWhen(true)] out string? path)
    {
        path = _files.Find(file => file.RelativePath == relativePath).FullPath;
        return path is not null;
    }

    /// <summary>Whether a file of that name belongs to the model whose folder it lies in and must not survive it.</summary>
    /// <param name="name">The name, without folders.</param>
    /// <param name="onlyWeights">Whether only the weights and their index are asked for.</param>
    internal static bool IsOfModel(string name, bool onlyWeights) =>
        (name.StartsWith("model", StringComparison.Ordinal)
            && (name.EndsWith(".safetensors", StringComparison.Ordinal) || name.EndsWith(".safetensors.index.json", StringComparison.Ordinal)))
        || (!onlyWeights && Array.Exists(PartsOfModels, part => name.StartsWith(part, StringComparison.Ordinal)));

    private static bool IsWeights(string name) =>
        WeightExtensions.Contains(Path.GetExtension(name)) || name.EndsWith(".index.json", StringComparison.OrdinalIgnoreCase);

    private void Walk(string folder, string prefix, int depth)
    {
        if (depth > MaxDepth)
        {
            throw new ModelFormatException(folder, $"the folder is nested deeper than {MaxDepth} levels");
        }

        foreach (FileSystemInfo entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
        {
            string relative = prefix + entry.Name;
            if (entry.Name.StartsWith('.') || relative == ConfigFile.Name || (entry is FileInfo && IsWeights(entry.Name)))
            {
                continue;
            }

            var file = new AuxiliaryFile { RelativePath = relative, FullPath = entry.FullName };
            if (entry.LinkTarget is not null && (entry is DirectoryInfo || !StaysInside(entry)))
            {
                _skipped.Add(file);
            }
            else if (entry is DirectoryInfo)
            {
                Walk(entry.FullName, relative + "/", depth + 1);
            }
            else if (_files.Count == MaxFiles)
            {
                throw new ModelFormatException(_root, $"the folder has more than {MaxFiles} files");
            }
            else
            {
                _files.Add(file);
            }
        }
    }

    private bool StaysInside(FileSystemInfo link)
    {
        string target = LinkResolver.RealPath(link.FullName);
        return File.Exists(target)
            && (LinkResolver.IsBelow(_root, target) || (_blobs is not null && LinkResolver.IsBelow(_blobs, target)));
    }
}
