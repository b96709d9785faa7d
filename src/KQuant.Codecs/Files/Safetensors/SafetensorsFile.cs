using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;

namespace KQuant.Codecs.Files;

/// <summary>
/// The tensors of a safetensors model: one file, or the shards that an index names. The files are memory-mapped; opening reads only
/// headers, validates them completely, and takes less than 64 MiB whatever they claim.
/// </summary>
/// <remarks>
/// <para>
/// The rules are those of the format's reference reader: a header of at most 100,000,000 bytes, tensors that tile the data without a hole
/// or an overlap, sizes that follow from type and shape by checked multiplication. Repeated keys and a header that does not begin with
/// <c>{</c> are refused too. Not part of the format: at most 64 dimensions, names of at most 4096 bytes, and as many tensors as can be
/// described in 56 MiB (about 150,000 with names of 60 characters).
/// </para>
/// <para>All members are safe to call from several threads at once, also while one of them disposes.</para>
/// </remarks>
public sealed partial class SafetensorsFile : IDisposable
{
    /// <summary>Name of the index beside the shards of a model.</summary>
    public const string IndexName = "model.safetensors.index.json";

    private const string IndexSuffix = ".safetensors.index.json";
    private const string SingleName = "model.safetensors";

    private readonly List<SafetensorsShard> _shards = [];
    private readonly SafetensorsTable _table = new();

    private SafetensorsFile(string path) => Path = path;

    /// <summary>The path as given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>All tensors: shard by shard, within a shard in the order of their data.</summary>
    public IReadOnlyList<SafetensorsTensor> Tensors => _table.Tensors;

    /// <summary>Paths of the files that hold the tensors.</summary>
    public IReadOnlyList<string> Files => [.. _shards.Select(shard => shard.Path)];

    /// <summary>The <c>__metadata__</c> of the first file; empty when it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _shards[0].Metadata;

    /// <summary>An index that is ignored because it belongs to other files: none of its shards exists. Null if there is none.</summary>
    public string? StaleIndex { get; private set; }

    /// <summary>Opens a model.</summary>
    /// <param name="path">
    /// A <c>.safetensors</c> file, an index (<c>*.safetensors.index.json</c>), or a folder, in which <c>model.safetensors.index.json</c>
    /// (unless none of its shards exists),
    /// else <c>model.safetensors</c>, else all of <c>model*.safetensors</c> are taken.
    /// </param>
    /// <returns>The opened model; dispose it to release the mappings.</returns>
    /// <exception cref="ModelFormatException">
    /// A file is not what it claims to be, the index and the shards disagree, or a shard lies outside the index's folder.
    /// </exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var file = new SafetensorsFile(path);
        try
        {
            string? stale = null;
            string entry = Directory.Exists(path) ? FindInFolder(path, out stale) : path;
            file.StaleIndex = stale;
            if (entry.EndsWith(IndexSuffix, StringComparison.OrdinalIgnoreCase))
            {
                file.OpenIndex(entry);
            }
            else if (Directory.Exists(entry))
            {
                file.OpenShards(FindShards(entry));
            }
            else
            {
                file.OpenShards([entry]);
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Looks a tensor up.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, or null.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryGet(string name, [NotNullWhen(true)] out SafetensorsTensor? tensor) => _table.TryGet(name, out tensor);

    /// <summary>A tensor as weights; see <see cref="SafetensorsTensor.AsWeights()"/>.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>A view that is valid until this file is disposed.</returns>
    /// <exception cref="KeyNotFoundException">There is no tensor of that name.</exception>
    /// <exception cref="NotSupportedException">Its element type is none of F32, F16 and BF16.</exception>
    public QuantizedTensor GetTensor(string name)
    {
        if (!TryGet(name, out SafetensorsTensor? tensor))
        {
            Throw.NoSuchTensor(Path, name);
        }

        return tensor.AsWeights();
    }

    /// <summary>Closes the files; views of tensors throw from now on. A mapping goes when the last operation that reads it has ended.</summary>
    public void Dispose()
    {
        foreach (SafetensorsShard shard in _shards)
        {
            shard.Dispose();
        }
    }

    /// <summary>The index of a folder, its single file, or the folder itself when only shards without an index are there.</summary>
    private static string FindInFolder(string folder, out string? staleIndex)
    {
        staleIndex = null;
        string index = System.IO.Path.Combine(folder, IndexName), single = System.IO.Path.Combine(folder, SingleName);
        if (File.Exists(index))
        {
            if (!File.Exists(single) || HasShards(index, folder))
            {
                return index;
            }

            staleIndex = index;
        }

        return File.Exists(single) ? single : folder;
    }

    /// <summary>
    /// Whether any shard of an index is there: if not, it was carried over from a model that was cut into other files than the one beside it.
    /// </summary>
    private static bool HasShards(string index, string folder)
    {
        using SafetensorsIndex opened = SafetensorsIndex.Open(index);
        string[] names = opened.ReadShardNames();
        return names.Length == 0 || names.Any(name => File.Exists(System.IO.Path.Combine(folder, name)));
    }

    private static string[] FindShards(string folder)
    {
        string[] paths = Directory.GetFiles(folder, "model*.safetensors");
        if (paths.Length == 0)
        {
            throw new ModelFormatException(folder, $"the folder has neither {IndexName} nor model*.safetensors");
        }

        Array.Sort(paths, StringComparer.Ordinal);
        CheckComplete(paths);
        return paths;
    }

    /// <summary>Without an index only the names of the shards tell that one is missing or belongs to another set.</summary>
    private static void CheckComplete(string[] paths)
    {
        foreach (string path in paths)
        {
            Match match = ShardPattern().Match(System.IO.Path.GetFileName(path));
            if (match.Success && int.Parse(match.Groups["count"].ValueSpan, CultureInfo.InvariantCulture) != paths.Length)
            {
                throw new ModelFormatException(
                    path, $"the file belongs to a set of another size than the {paths.Length} files model*.safetensors");
            }
        }
    }

    private void OpenIndex(string path)
    {
        using SafetensorsIndex index = SafetensorsIndex.Open(path);
        string folder = System.IO.Path.GetDirectoryName(path) ?? "";
        string[] names = index.ReadShardNames();
        if (names.Length == 0)
        {
            throw new ModelFormatException(path, "weight_map is empty");
        }

        foreach (string name in names)
        {
            string shard = System.IO.Path.Combine(folder, name);
            if (!File.Exists(shard))
            {
                throw new ModelFormatException(path, $"the shard '{Printable.Shorten(name)}' is missing");
            }
        }

        OpenShards(names.Select(name => System.IO.Path.Combine(folder, name)));
        index.Verify(_table);
    }

    private void OpenShards(IEnumerable<string> paths)
    {
        foreach (string path in paths)
        {
            _shards.Add(SafetensorsShard.Open(path, _table));
        }
    }

    [GeneratedRegex(@"^model-\d{5,9}-of-(?<count>\d{5,9})\.safetensors$")]
    private static partial Regex ShardPattern();
}
