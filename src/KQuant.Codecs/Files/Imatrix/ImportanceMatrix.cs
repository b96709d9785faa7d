using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// An importance matrix: for the weights of a model, how much each of their columns matters. Reads and writes llama.cpp's GGUF form, its
/// older
/// <c>.dat</c>, and the <c>.dat</c> of mlx-kquant. Opening reads names and sizes only; values are read entry by entry, when asked for.
/// </summary>
/// <remarks>
/// The format is told by the content of a file, never by its name. Importance has no unit: encoders only compare the columns of a row, so a
/// constant factor for a whole weight (tokens or calls as counts) makes no difference.
/// </remarks>
public sealed class ImportanceMatrix : IDisposable
{
    private readonly List<ImportanceEntry> _entries = [];
    private readonly Dictionary<string, ImportanceEntry> _byName = [];
    private readonly IDisposable? _file;

    /// <summary>Creates an empty matrix.</summary>
    public ImportanceMatrix()
    {
    }

    internal ImportanceMatrix(IDisposable file, ImportanceFormat format) => (_file, Format) = (file, format);

    /// <summary>The path as given to <see cref="Open"/>; null for a new matrix.</summary>
    public string? Path { get; private set; }

    /// <summary>The format of the file that was opened; null for a new matrix.</summary>
    public ImportanceFormat? Format { get; }

    /// <summary>The entries, in file order or in the order in which they were added.</summary>
    public IReadOnlyList<ImportanceEntry> Entries => _entries;

    /// <summary>
    /// The names of the data sets that were used. The older llama.cpp format keeps only the last, that of mlx-kquant none.
    /// </summary>
    public IReadOnlyList<string> Datasets { get; set; } = [];

    /// <summary>The number of chunks of text that were used; 0 if unknown.</summary>
    public int ChunkCount { get; set; }

    /// <summary>Tokens in a chunk; 0 if unknown. Only the GGUF form keeps it.</summary>
    public int ChunkSize { get; set; }

    /// <summary>Which part of a calibration it is; null for a whole one. Only the GGUF form keeps it.</summary>
    public ImportancePart? Part { get; set; }

    /// <summary>Opens an importance matrix of any format.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The matrix; dispose it to release the mapping.</returns>
    /// <exception cref="ModelFormatException">The file is none, or is cut off.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read.</exception>
    public static ImportanceMatrix Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ImportanceMatrix matrix = GgufFile.HasMagic(path) ? GgufImatrix.Open(path) : LegacyImatrix.Open(path);
        matrix.Path = path;
        return matrix;
    }

    /// <summary>Several calibrations as one: sums, counts and chunks are added.</summary>
    /// <param name="parts">Matrices of one model, all of which keep sums or all of which keep means; the first format wins.</param>
    /// <returns>A new matrix, in memory.</returns>
    /// <exception cref="ArgumentException">
    /// There is none, or they count different things, or some are parts of one calibration and not all of its parts are there, once each.
    /// </exception>
    /// <exception cref="ModelFormatException">
    /// Two have another number of values for the same weight: they are of different models; or a value is negative or not finite.
    /// </exception>
    public static ImportanceMatrix Merge(IReadOnlyList<ImportanceMatrix> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        if (parts.Count == 0)
        {
            throw new ArgumentException("There is nothing to merge.", nameof(parts));
        }

        if (parts.FirstOrDefault(part => IsLegacy(part) != IsLegacy(parts[0])) is ImportanceMatrix other)
        {
            throw new ArgumentException(
                $"{parts[0].Path} and {other.Path} count different things: the GGUF form counts tokens, the older ones calls.", nameof(parts));
        }

        CheckParts(parts);
        var merged = new ImportanceMatrix
        {
            ChunkCount = parts.Sum(part => part.ChunkCount),
            ChunkSize = parts.Max(part => part.ChunkSize),
            Datasets = [.. parts.SelectMany(part => part.Datasets).Distinct()],
        };
        foreach (string name in parts.SelectMany(part => part._entries).Select(entry => entry.Name).Distinct())
        {
            ImportanceEntry[] entries = [.. parts.Where(part => part._byName.ContainsKey(name)).Select(part => part._byName[name])];
            merged.Add(entries.Length == 1 ? entries[0].ToMemory() : entries.Aggregate((sum, entry) => sum.Plus(entry)));
        }

        return merged;

        static bool IsLegacy(ImportanceMatrix part) => part.Format is ImportanceFormat.Legacy or ImportanceFormat.LegacyMeans;
    }

    /// <summary>The same with a neutral input added to every entry; see <see cref="ImportanceEntry.WithPrior"/>.</summary>
    /// <param name="weight">As how many inputs it counts; 0 for none.</param>
    /// <returns>This matrix for 0, else a new one, in memory.</returns>
    /// <exception cref="ModelFormatException">A value is negative or not finite.</exception>
    public ImportanceMatrix WithPrior(double weight)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(weight);
        if (weight == 0)
        {
            return this;
        }

        var matrix = new ImportanceMatrix { ChunkCount = ChunkCount, ChunkSize = ChunkSize, Datasets = Datasets, Part = Part };
        _entries.ForEach(entry => matrix.Add(entry.WithPrior(weight)));
        return matrix;
    }

    /// <summary>Adds an entry.</summary>
    /// <param name="entry">The entry.</param>
    /// <exception cref="ArgumentException">There is one of that name.</exception>
    public void Add(ImportanceEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (!TryAdd(entry))
        {
            throw new ArgumentException($"There is an entry '{entry.Name}' already.", nameof(entry));
        }
    }

    /// <summary>Looks an entry up by exactly this name.</summary>
    /// <param name="name">The name of a weight.</param>
    /// <param name="entry">The entry, or null.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryGet(string name, [NotNullWhen(true)] out ImportanceEntry? entry) => _byName.TryGetValue(name, out entry);

    /// <summary>
    /// Looks an entry up by this name, or by what the same weight is called on the other side: files made with llama.cpp have GGUF names,
    /// those made with mlx-kquant checkpoint names.
    /// </summary>
    /// <param name="name">The name of a weight, in a GGUF or in a checkpoint.</param>
    /// <param name="names">The names of the model's architecture.</param>
    /// <param name="entry">
    /// The entry, or null. For one expert of several (<c>mlp.experts.3.down_proj.weight</c>) it is that of the stack.
    /// </param>
    /// <returns>Whether there is one.</returns>
    public bool TryGet(string name, TensorNames names, [NotNullWhen(true)] out ImportanceEntry? entry)
    {
        ArgumentNullException.ThrowIfNull(names);
        if (TryGet(name, out entry))
        {
            return true;
        }

        // The GGUF name is the one that both sides share; a checkpoint's name may be spelled in several ways.
        string gguf = names.TryToGguf(name, out string? mapped) ? mapped : name;
        return TryGet(gguf, out entry) || (names.TryToCheckpoint(gguf, out string? checkpoint) && TryGet(checkpoint, out entry));
    }

    /// <summary>Writes the matrix, one entry at a time. Values in the format they came from are written as they are.</summary>
    /// <param name="path">The file; one that exists is replaced when the new one is complete.</param>
    /// <param name="format">
    /// The format. Experts without a count become ones in the older formats, and entries without any count are left out.
    /// </param>
    /// <param name="rename">Gives the name to write for a name here, such as the GGUF name of a checkpoint name; null keeps them.</param>
    /// <param name="cancellationToken">Cancels between two entries; nothing is left behind.</param>
    /// <exception cref="ArgumentException">A name is too long for a GGUF: 55 bytes, as <c>.in_sum2</c> is put behind it.</exception>
    /// <exception cref="ModelFormatException">A value that was not read before is negative or not finite.</exception>
    /// <exception cref="InvalidOperationException">A count or a number of values does not fit the 32 bits of the older formats.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public void Write(
        string path, ImportanceFormat format, Func<string, string>? rename = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        rename ??= name => name;
        if (format == ImportanceFormat.Gguf)
        {
            GgufImatrix.Write(this, path, rename, cancellationToken);
        }
        else
        {
            LegacyImatrix.Write(this, path, format == ImportanceFormat.LegacyMeans, rename, cancellationToken);
        }
    }

    /// <summary>Closes the file. Entries of it must not be read any more; they throw.</summary>
    public void Dispose() => _file?.Dispose();

    /// <summary>Parts of a calibration make sense together, once each, and not beside others.</summary>
    private static void CheckParts(IReadOnlyList<ImportanceMatrix> parts)
    {
        if (parts.FirstOrDefault(part => part.Part is not null) is not { Part: ImportancePart first } any)
        {
            return;
        }

        var seen = new Dictionary<int, ImportanceMatrix>();
        foreach (ImportanceMatrix part in parts)
        {
            if (part.Part is not ImportancePart found)
            {
                throw new ArgumentException($"{any.Path} is part {first.Shard} of a calibration, and {part.Path} a whole one.", nameof(parts));
            }

            if (found.Origin != first.Origin || found.Shard.Count != first.Shard.Count)
            {
                throw new ArgumentException(
                    $"{part.Path} is part {found.Shard} of another calibration than {any.Path}: {Printable.Shorten(found.Origin)}; not {Printable.Shorten(first.Origin)}.",
                    nameof(parts));
            }

            if (!seen.TryAdd(found.Shard.Number, part))
            {
                throw new ArgumentException($"{seen[found.Shard.Number].Path} and {part.Path} are both part {found.Shard}.", nameof(parts));
            }
        }

        if (Enumerable.Range(1, first.Shard.Count).FirstOrDefault(number => !seen.ContainsKey(number)) is > 0 and int missing)
        {
            throw new ArgumentException(
                $"Part {new JobShard(missing, first.Shard.Count)} of the calibration is missing; {seen.Count} of {first.Shard.Count} were given.", nameof(parts));
        }
    }

    internal bool TryAdd(ImportanceEntry entry)
    {
        if (!_byName.TryAdd(entry.Name, entry))
        {
            return false;
        }

        _entries.Add(entry);
        return true;
    }
}
