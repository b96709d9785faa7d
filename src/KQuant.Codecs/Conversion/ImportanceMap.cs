using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>Which entry of an importance matrix steers which weight of a plan.</summary>
public sealed class ImportanceMap
{
    private const string WeightSuffix = ".weight";

    private readonly Dictionary<string, ImportanceEntry> _byTensor = [];
    private readonly List<string> _missing = [];
    private readonly List<string> _unused = [];

    private ImportanceMap(ImportanceMatrix matrix) => Matrix = matrix;

    /// <summary>The importance matrix.</summary>
    public ImportanceMatrix Matrix { get; }

    /// <summary>The number of weights that have an entry.</summary>
    public int Count => _byTensor.Count;

    /// <summary>Names of the weights that will be quantized without importance because there is no entry for them.</summary>
    public IReadOnlyList<string> Missing => _missing;

    /// <summary>Names of the entries that belong to no weight that is quantized.</summary>
    public IReadOnlyList<string> Unused => _unused;

    /// <summary>Finds the entry of every weight that a plan quantizes, by its name in the model or by its GGUF or checkpoint name.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="matrix">The importance matrix; it must stay open as long as the map is used.</param>
    /// <param name="names">The names of the model's weights in both kinds of file; null if they are not known, and entries have the model's.</param>
    /// <param name="ignoreMismatch">Whether weights whose entry has another number of values, or is missing beside entries of other models, go without, instead of an error.</param>
    /// <returns>The map.</returns>
    /// <exception cref="ModelFormatException">
    /// The matrix is that of another model: an entry has another number of values than its weight takes, or none names any of the weights, or
    /// weights of layers have none while others name nothing.
    /// </exception>
    public static ImportanceMap Create(QuantizationPlan plan, ImportanceMatrix matrix, TensorNames? names = null, bool ignoreMismatch = false)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(matrix);
        var map = new ImportanceMap(matrix);
        foreach (PlannedTensor planned in plan.Tensors)
        {
            if (planned.Codec is not { IsQuantized: true })
            {
                continue;
            }

            string name = planned.Source.Name;
            if (map.Find(name, names) is not ImportanceEntry entry)
            {
                map._missing.Add(name);
                continue;
            }

            QuantShape shape = planned.Source.GetQuantShape();
            if (!entry.Fits(shape) && ignoreMismatch)
            {
                map._missing.Add(name);
                continue;
            }

            if (!entry.Fits(shape))
            {
                throw new ModelFormatException(
                    matrix.Path ?? "importance matrix",
                    $"there are {entry.ValueCount} values for a weight of shape {shape}, which takes {shape.Columns}"
                    + (shape.Experts > 1 ? $" or {shape.Experts * shape.Columns}" : "") + "; the file belongs to another model",
                    entry.Name);
            }

            map._byTensor.Add(name, entry);
        }

        if (map.Count == 0 && map._missing.Count > 0)
        {
            string example = matrix.Entries.Count > 0 ? $" (the first is '{Printable.Shorten(matrix.Entries[0].Name)}')" : "";
            throw new ModelFormatException(
                matrix.Path ?? "importance matrix",
                $"none of the {matrix.Entries.Count} entries{example} names a weight of the model; the file belongs to another one");
        }

        if (!ignoreMismatch)
        {
            map.CheckModel(plan, names);
        }

        HashSet<ImportanceEntry> used = [.. map._byTensor.Values];
        map._unused.AddRange(matrix.Entries.Where(entry => !used.Contains(entry)).Select(entry => entry.Name));
        return map;
    }

    /// <summary>The entry of a weight.</summary>
    /// <param name="tensorName">The name of the weight in its model.</param>
    /// <param name="entry">The entry, or null.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryGet(string tensorName, [NotNullWhen(true)] out ImportanceEntry? entry) => _byTensor.TryGetValue(tensorName, out entry);

    /// <summary>
    /// Weights of layers without an entry are those of a calibration that did not reach them, and entries without a tensor may be those of more
    /// layers than were kept; both at once are another model. Embedding and output do not count: llama.cpp's files often lack them.
    /// </summary>
    private void CheckModel(QuantizationPlan plan, TensorNames? names)
    {
        string? missing = plan.Tensors.FirstOrDefault(planned => planned is { Codec.IsQuantized: true, Role: not (TensorRole.Embedding or TensorRole.OutputHead) }
            && !_byTensor.ContainsKey(planned.Source.Name))?.Source.Name;
        if (missing is null)
        {
            return;
        }

        HashSet<ImportanceEntry?> known = [.. plan.Tensors.Select(planned => Find(planned.Source.Name, names))];
        if (Matrix.Entries.FirstOrDefault(entry => !known.Contains(entry)) is ImportanceEntry foreign)
        {
            throw new ModelFormatException(
                Matrix.Path ?? "importance matrix",
                $"no tensor of the model has this name, and '{missing}' has no entry; the file belongs to another model",
                foreign.Name);
        }
    }

    /// <summary>Looks for a name as it is, in the spelling of the other kind of file, and as a module path without <c>.weight</c>.</summary>
    private ImportanceEntry? Find(string name, TensorNames? names)
    {
        string module = name.EndsWith(WeightSuffix, StringComparison.Ordinal) ? name[..^WeightSuffix.Length] : name;
        foreach (string spelling in (string[])[name, module])
        {
            if (Matrix.TryGet(spelling, out ImportanceEntry? entry)
                || (names is not null && Matrix.TryGet(spelling, names, out entry)))
            {
                return entry;
            }
        }

        return null;
    }
}
