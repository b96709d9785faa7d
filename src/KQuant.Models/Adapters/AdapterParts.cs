using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>
/// The tensors of an adapter while they are put together: for each module its A [rank, inputs], its B [outputs, rank] and perhaps lengths, for
/// a stack with the experts in front, or with experts that are stored one by one.
/// </summary>
/// <param name="path">The file, for messages.</param>
internal sealed class AdapterParts(string path)
{
    private readonly OrderedDictionary<string, SortedDictionary<int, Parts>> _modules = [];

    /// <summary>Takes A of a module.</summary>
    public void AddA(string module, AdapterMatrix matrix, int? expert = null)
    {
        Parts parts = Add(module, expert);
        parts.A = Once(parts.A, matrix);
    }

    /// <summary>Takes B of a module.</summary>
    public void AddB(string module, AdapterMatrix matrix, int? expert = null)
    {
        Parts parts = Add(module, expert);
        parts.B = Once(parts.B, matrix);
    }

    /// <summary>Takes the lengths of the rows of a module.</summary>
    public void AddMagnitude(string module, AdapterMatrix vector, int? expert = null)
    {
        Parts parts = Add(module, expert);
        parts.Magnitude = Once(parts.Magnitude, vector);
    }

    /// <summary>All weights, in the order in which they were begun.</summary>
    /// <param name="scale">The scale for a module, one of its experts (or null) and its rank.</param>
    /// <param name="create">Makes the weight.</param>
    /// <exception cref="ModelFormatException">Parts are missing or do not fit each other.</exception>
    public IReadOnlyList<LoraWeight> Build(
        Func<string, int?, int, float> scale, Func<string, AdapterMatrix, AdapterMatrix, float, AdapterMatrix?, LoraWeight> create)
    {
        var weights = new List<LoraWeight>();
        foreach ((string module, SortedDictionary<int, Parts> matrices) in _modules)
        {
            foreach (Parts parts in matrices.Values)
            {
                Check(parts);
            }

            bool isWhole = matrices.ContainsKey(-1);
            if (isWhole && matrices.Count > 1)
            {
                throw new ModelFormatException(path, "experts are stored one by one and as a stack", module);
            }

            Parts all = isWhole ? matrices[-1] : Stack(module, matrices);
            float first = scale(module, isWhole ? null : 0, (int)all.A!.Shape[^2]);
            if (!float.IsFinite(first))
            {
                throw new ModelFormatException(path, FormattableString.Invariant($"the scale is {first}"), all.A.Name);
            }

            for (int expert = 1; !isWhole && expert < matrices.Count; expert++)
            {
                if (scale(module, expert, (int)all.A.Shape[^2]) != first)
                {
                    throw new ModelFormatException(path, $"expert {expert} has another scale than expert 0", matrices[expert].A!.Name);
                }
            }

            weights.Add(create(module + ".weight", all.A, all.B!, first, all.Magnitude));
        }

        return weights.Count > 0 ? weights : throw new ModelFormatException(path, "there is no tensor of an adapter");
    }

    private AdapterMatrix Once(AdapterMatrix? before, AdapterMatrix matrix) => before is null
        ? matrix
        : throw new ModelFormatException(path, $"'{Printable.Shorten(before.Name)}' belongs to the same place", matrix.Name);

    private Parts Add(string module, int? expert)
    {
        if (!_modules.TryGetValue(module, out SortedDictionary<int, Parts>? matrices))
        {
            _modules.Add(module, matrices = []);
        }

        if (!matrices.TryGetValue(expert ?? -1, out Parts? parts))
        {
            matrices.Add(expert ?? -1, parts = new Parts());
        }

        return parts;
    }

    private void Check(Parts parts)
    {
        if (parts.A is not { } a || parts.B is not { } b)
        {
            AdapterMatrix alone = (parts.A ?? parts.B ?? parts.Magnitude)!;
            throw new ModelFormatException(path, $"the other half of the product is missing, {(parts.A is null ? "A" : "B")}", alone.Name);
        }

        if (a.Shape.Length is not (2 or 3) || b.Shape.Length != a.Shape.Length)
        {
            throw new ModelFormatException(path, $"the shapes of A and B are {a.ShapeText} and {b.ShapeText}; matrices or stacks of them are needed", a.Name);
        }

        if (a.Shape[^2] == 0 || b.Shape[^1] == 0)
        {
            throw new ModelFormatException(path, $"the rank is 0 (A is {a.ShapeText}, B is {b.ShapeText})", a.Name);
        }

        if (a.Shape[^2] != b.Shape[^1] || (a.Shape.Length == 3 && a.Shape[0] != b.Shape[0]))
        {
            throw new ModelFormatException(path, $"A {a.ShapeText} and B {b.ShapeText} of '{b.Name}' do not multiply", a.Name);
        }

        if (a.Values.Length == 0 || b.Values.Length == 0)
        {
            throw new ModelFormatException(path, $"A is {a.ShapeText} and B is {b.ShapeText}, which is nothing", a.Name);
        }

        if (parts.Magnitude is { } magnitude)
        {
            if (a.Shape.Length == 3)
            {
                throw new ModelFormatException(path, "there is no DoRA of experts", magnitude.Name);
            }

            if (magnitude.Values.Length != b.Shape[^2])
            {
                throw new ModelFormatException(path, $"there are {magnitude.Values.Length} lengths for {b.Shape[^2]} rows", magnitude.Name);
            }
        }
    }

    private Parts Stack(string module, SortedDictionary<int, Parts> experts)
    {
        int next = 0;
        Parts first = experts.First().Value;
        foreach ((int expert, Parts parts) in experts)
        {
            if (expert != next++)
            {
                throw new ModelFormatException(path, $"expert {next - 1} is missing", module);
            }

            if (parts.Magnitude is { } magnitude)
            {
                throw new ModelFormatException(path, "there is no DoRA of experts", magnitude.Name);
            }

            if (!parts.A!.Shape.AsSpan().SequenceEqual(first.A!.Shape) || !parts.B!.Shape.AsSpan().SequenceEqual(first.B!.Shape))
            {
                throw new ModelFormatException(
                    path, $"A is {parts.A.ShapeText} and B {parts.B!.ShapeText}, those of expert 0 are {first.A.ShapeText} and {first.B!.ShapeText}", parts.A.Name);
            }
        }

        return new Parts { A = Join([.. experts.Values.Select(parts => parts.A!)]), B = Join([.. experts.Values.Select(parts => parts.B!)]) };

        AdapterMatrix Join(AdapterMatrix[] parts) => parts[0] with
        {
            Shape = [parts.Length, .. parts[0].Shape],
            Values = [.. parts.SelectMany(part => part.Values)],
            Codec = parts.All(part => part.Codec == parts[0].Codec) ? parts[0].Codec : QuantCodec.Get(QuantFormat.F32),
        };
    }

    private sealed class Parts
    {
        public AdapterMatrix? A { get; set; }

        public AdapterMatrix? B { get; set; }

        public AdapterMatrix? Magnitude { get; set; }
    }
}
