using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// A GGUF file of version 2 or 3, memory-mapped and of any size. Opening reads the header only and checks it completely; tensors are views
/// of the file. A model that is split into several files is opened by its first one and looks like a single file.
/// </summary>
/// <remarks>
/// <para>
/// Any file either opens or throws <see cref="ModelFormatException"/>, at a cost bounded by its header: less than 64 MiB of memory, and one
/// pass over at most 256 MiB. Tensors of a type that is not known are listed, and refused only when their data is asked for.
/// </para>
/// <para>
/// What files may do: any alignment that is a power of two, gaps between tensors, bytes behind the last one or no padding there, tensors
/// without elements or without dimensions, names that are empty or 64 bytes long, arrays nested 4 deep, booleans other than 0 and 1,
/// strings that are no UTF-8. What they may not: keys or names that are there twice, that are no UTF-8 or contain NUL, empty keys, data
/// that overlaps, is out of order or goes beyond the end of the file, a part of the last padding, dimensions whose product does not fit
/// into 63 bits, big-endian numbers.
/// </para>
/// <para>
/// Metadata values and tensors are views, which throw after <see cref="Dispose"/>; spans cannot. The file must not become shorter meanwhile.
/// All members are safe to call from several threads at once, also while one of them disposes: the mapping goes with the last operation.
/// </para>
/// </remarks>
public sealed class GgufFile : IDisposable
{
    private readonly List<MappedFile> _parts = [];
    private readonly List<GgufTensor> _tensors = [];
    private readonly Dictionary<string, GgufTensor> _byName = [];

    private GgufFile(string path) => Path = path;

    /// <summary>The path as given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>Paths of the files that hold the model; one unless it is split.</summary>
    public IReadOnlyList<string> Files => [.. _parts.Select(part => part.Path)];

    /// <summary>The length of these files together, in bytes.</summary>
    public long Length => _parts.Sum(part => part.Length);

    /// <summary>The format version, 2 or 3.</summary>
    public uint Version { get; private set; }

    /// <summary>
    /// The metadata, read-only, in the file's order. That of a split model is that of its first file without the <c>split.*</c> keys, so
    /// that it describes the model as one file would.
    /// </summary>
    public GgufMetadata Metadata { get; private set; } = new();

    /// <summary>All tensors: file by file, within a file in the order of their descriptors.</summary>
    public IReadOnlyList<GgufTensor> Tensors => _tensors;

    /// <summary>Opens a GGUF file; with the first part of a split model, all of its parts.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The opened file; dispose it to release the mappings.</returns>
    /// <exception cref="ModelFormatException">
    /// The file is no GGUF or not well-formed, it is not the first part of a split model, or a part is missing or does not fit the first.
    /// </exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read, or is a folder.</exception>
    public static GgufFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var file = new GgufFile(path);
        try
        {
            file.OpenParts();
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether a file begins as a GGUF file does. Says nothing about the rest.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Whether its first four bytes are <c>GGUF</c>.</returns>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static bool HasMagic(string path)
    {
        FileKinds.CheckReadable(path);
        using FileStream stream = File.OpenRead(path);
        Span<byte> start = stackalloc byte[4];
        return stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) == start.Length && start.SequenceEqual("GGUF"u8);
    }

    /// <summary>Looks a tensor up.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, or null.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryGet(string name, [NotNullWhen(true)] out GgufTensor? tensor) => _byName.TryGetValue(name, out tensor);

    /// <summary>A tensor as weights; see <see cref="GgufTensor.AsWeights"/>.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>A view that is valid until this file is disposed.</returns>
    /// <exception cref="KeyNotFoundException">There is no tensor of that name.</exception>
    /// <exception cref="NotSupportedException">Its type has no codec.</exception>
    /// <exception cref="ModelFormatException">Its type is not known.</exception>
    public QuantizedTensor GetTensor(string name)
    {
        if (!TryGet(name, out GgufTensor? tensor))
        {
            Throw.NoSuchTensor(Path, name);
        }

        return tensor.AsWeights();
    }

    /// <summary>Closes the files. A mapping goes when the last operation that reads it has ended.</summary>
    public void Dispose() => _parts.ForEach(part => part.Dispose());

    private void OpenParts()
    {
        var budget = new AllocationBudget();
        GgufHeader first = AddPart(Path, budget);
        Version = first.Version;
        Metadata = first.Metadata;
        int count = GgufSplit.CountParts(Path, Metadata);
        if (count == 1)
        {
            return;
        }

        GgufSplit.CheckPart(Path, Metadata, 0, count);
        string[] paths = GgufSplit.PartPaths(Path, count);
        for (int i = 1; i < count; i++)
        {
            if (!File.Exists(paths[i]))
            {
                throw new ModelFormatException(Path, $"part {i + 1} of {count} is missing: {System.IO.Path.GetFileName(paths[i])}");
            }

            GgufSplit.CheckPart(paths[i], AddPart(paths[i], budget).Metadata, i, count);
        }

        GgufSplit.CheckTensorCount(Path, Metadata, _tensors.Count);
        Metadata = GgufSplit.WithoutSplitKeys(Path, Metadata);
    }

    private GgufHeader AddPart(string path, AllocationBudget budget)
    {
        MappedFile file = MappedFile.Open(path);
        _parts.Add(file);
        if (ForeignContent.Describe(file) is string foreign)
        {
            throw new ModelFormatException(path, foreign);
        }

        GgufHeader header = GgufHeaderReader.Read(file, budget);
        foreach (GgufTensor tensor in header.Tensors)
        {
            if (!_byName.TryAdd(tensor.Name, tensor))
            {
                string other = _byName[tensor.Name].FilePath;
                throw tensor.Error($"the name occurs twice{(other == path ? "" : $" (also in {other})")}");
            }

            _tensors.Add(tensor);
        }

        return header;
    }
}
