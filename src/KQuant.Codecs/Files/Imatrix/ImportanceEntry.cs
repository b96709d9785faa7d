namespace KQuant.Codecs.Files;

/// <summary>
/// The importance of the columns of one weight: what its inputs looked like when text ran through the model. Immutable; an entry of an
/// opened file is read when asked for and lives as long as the <see cref="ImportanceMatrix"/>.
/// </summary>
public sealed class ImportanceEntry
{
    private readonly string _path;
    private readonly FloatRegion _values;
    private readonly FloatRegion? _floatCounts;
    private readonly long[]? _counts;
    private readonly bool _valuesAreMeans;
    private readonly FloatRegion? _inputSums;

    /// <summary>Creates an entry from sums, as calibration gathers them.</summary>
    /// <param name="name">The name of the weight, <c>blk.0.ffn_down.weight</c> or <c>model.layers.0.mlp.down_proj.weight</c>.</param>
    /// <param name="sums">For each expert and column the sum of the squared inputs; one expert for a matrix.</param>
    /// <param name="counts">For each expert the number of inputs that were summed; 0 for an expert that none was routed to.</param>
    /// <param name="inputSums">The sums of the inputs themselves, as many; or none. Statistics ask for them, encoders do not.</param>
    /// <exception cref="ArgumentException">
    /// The name is empty, there are no sums or counts, the sums are no whole rows for the counts, or there are not as many of both kinds.
    /// </exception>
    public ImportanceEntry(string name, ReadOnlySpan<float> sums, ReadOnlySpan<long> counts, ReadOnlySpan<float> inputSums = default)
        : this(
            "new importance matrix", name, new FloatRegion([.. sums]), [.. counts], null, valuesAreMeans: false,
            inputSums.IsEmpty ? null : new FloatRegion([.. inputSums]))
    {
        if (!inputSums.IsEmpty && inputSums.Length != sums.Length)
        {
            throw new ArgumentException($"{inputSums.Length} sums of inputs for {sums.Length} sums of squares.", nameof(inputSums));
        }

        ArgumentException.ThrowIfNullOrEmpty(name);
        if (sums.IsEmpty || counts.IsEmpty || sums.Length % counts.Length != 0)
        {
            throw new ArgumentException(
                $"{sums.Length} sums for {counts.Length} counts: there must be as many for each count, and at least one.", nameof(sums));
        }

        foreach (long count in counts)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(count, nameof(counts));
        }
    }

    internal ImportanceEntry(
        string path, string name, FloatRegion values, long[]? counts, FloatRegion? floatCounts, bool valuesAreMeans,
        FloatRegion? inputSums = null)
    {
        _inputSums = inputSums;
        _path = path;
        _values = values;
        _counts = counts;
        _floatCounts = floatCounts;
        _valuesAreMeans = valuesAreMeans;
        Name = name;
        ExpertCount = (int)(floatCounts?.Count ?? counts!.Length);
    }

    /// <summary>The name of the weight.</summary>
    public string Name { get; }

    /// <summary>The number of values: columns, times experts where they are kept apart.</summary>
    public long ValueCount => _values.Count;

    /// <summary>
    /// The number of counts. The older formats keep a single one even for stacked experts, so 1 does not say that the weight is a matrix.
    /// </summary>
    public int ExpertCount { get; }

    /// <summary>
    /// What a unit of expected squared error in the outputs of the weight costs the model, in nats of divergence for each token; null where no
    /// calibration has measured it.
    /// </summary>
    public double? LossPerError { get; init; }

    /// <summary>Whether the sums of the inputs are known, too.</summary>
    public bool HasInputSums => _inputSums is not null;

    /// <summary>Whether the values fit a weight: one for each column, or one for each column of each expert.</summary>
    /// <param name="shape">The shape of the weight.</param>
    /// <returns>Whether they do.</returns>
    public bool Fits(QuantShape shape) => ValueCount == shape.Columns || ValueCount == (Int128)shape.Experts * shape.Columns;

    /// <summary>The number of inputs behind the values of each expert; calls or chunks in the older formats.</summary>
    /// <returns><see cref="ExpertCount"/> numbers.</returns>
    /// <exception cref="ModelFormatException">A number in the file is negative or not finite.</exception>
    public long[] GetCounts()
    {
        if (_floatCounts is not FloatRegion region)
        {
            return [.. _counts!];
        }

        // Rounded as llama.cpp does.
        float[] floats = region.ToArray();
        return Array.ConvertAll(floats, count => count is >= 0 and < 1e18f
            ? (long)MathF.Round(count, MidpointRounding.AwayFromZero)
            : throw Error($"a count is {count}"));
    }

    /// <summary>
    /// The importance of each column of each expert: the mean of the squared inputs. An expert that saw no input gets ones, which is
    /// neutral and what llama.cpp does.
    /// </summary>
    /// <returns><see cref="ValueCount"/> values for <see cref="EncodeOptions.Importance"/>.</returns>
    /// <exception cref="ModelFormatException">A value in the file is negative or not finite; the message has its column.</exception>
    public float[] GetImportance()
    {
        float[] values = GetValues();
        if (_valuesAreMeans)
        {
            return values;
        }

        long[] counts = GetCounts();
        int columns = values.Length / counts.Length;
        for (int expert = 0; expert < counts.Length; expert++)
        {
            Span<float> row = values.AsSpan(expert * columns, columns);
            if (counts[expert] > 0)
            {
                float count = counts[expert];
                foreach (ref float value in row)
                {
                    value /= count;
                }
            }
            else
            {
                row.Fill(1);
            }
        }

        return values;
    }

    /// <summary>The importance, for a weight of a given shape.</summary>
    /// <param name="shape">The shape of the weight.</param>
    /// <returns>One value for each column, or one for each column of each expert.</returns>
    /// <exception cref="ModelFormatException">The values do not fit the shape, or one is negative or not finite.</exception>
    public float[] GetImportance(QuantShape shape) => Fits(shape)
        ? GetImportance()
        : throw Error($"there are {ValueCount} values for a weight of shape {shape}");

    /// <summary>The mean input of each column of each expert; zeros for an expert that saw none.</summary>
    /// <returns><see cref="ValueCount"/> values, or none if they are not known.</returns>
    /// <exception cref="ModelFormatException">A value in the file is not finite.</exception>
    public float[] GetInputMeans()
    {
        float[] values = GetInputSums();
        long[] counts = GetCounts();
        int columns = values.Length / counts.Length;
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = counts[i / columns] > 0 ? values[i] / counts[i / columns] : 0;
        }

        return values;
    }

    /// <summary>
    /// The same with a neutral input added that counts as several: one whose columns are all as important as a column is on average.
    /// Experts that have seen little get closer to it than others.
    /// </summary>
    /// <param name="weight">As how many it counts; above 0.</param>
    /// <returns>The entry, with counts rounded.</returns>
    /// <exception cref="ModelFormatException">A value in the file is negative or not finite.</exception>
    public ImportanceEntry WithPrior(double weight)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(weight);
        float[] sums = GetSums();
        long[] counts = GetDivisors();
        double all = sums.Sum(value => (double)value), inputs = counts.Sum();
        int columns = sums.Length / counts.Length;
        double neutral = inputs > 0 ? all / (inputs * columns) : 1;
        long[] weighed = [.. counts.Select(count => Math.Max(1, (long)Math.Round(count + weight)))];
        for (int i = 0; i < sums.Length; i++)
        {
            // Scaled so that the mean is exact although counts are whole numbers.
            int expert = i / columns;
            sums[i] = (float)((sums[i] + (weight * neutral)) / (counts[expert] + weight) * weighed[expert]);
        }

        float[] inputSums = GetInputSums();
        for (int i = 0; i < inputSums.Length; i++)
        {
            int expert = i / columns;
            inputSums[i] = (float)(inputSums[i] / (counts[expert] + weight) * weighed[expert]);
        }

        return new ImportanceEntry(Name, sums, weighed, inputSums) { LossPerError = LossPerError };
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} [{ValueCount}]";

    /// <summary>The sums of the inputs; empty if they are not known.</summary>
    internal float[] GetInputSums()
    {
        float[] values = _inputSums?.ToArray() ?? [];
        int index = Array.FindIndex(values, value => !float.IsFinite(value));
        return index < 0 ? values : throw Error($"the sum of inputs {index} is {values[index]}");
    }

    /// <summary>For formats that keep sums: values that <see cref="GetDivisors"/> turn into the importance. Sums come out as they are.</summary>
    internal float[] GetSums()
    {
        float[] values = GetValues();
        if (_valuesAreMeans)
        {
            float count = GetDivisors()[0];
            foreach (ref float value in values.AsSpan())
            {
                value *= count;
            }
        }

        return values;
    }

    /// <summary>The same, independent of the file it came from.</summary>
    internal ImportanceEntry ToMemory() => new(Name, GetSums(), GetDivisors(), GetInputSums()) { LossPerError = LossPerError };

    /// <summary>Both together. A single count stands for all experts of the other, as in older files.</summary>
    internal ImportanceEntry Plus(ImportanceEntry other)
    {
        if (ValueCount != other.ValueCount)
        {
            throw other.Error($"there are {other.ValueCount} values, and {ValueCount} for the same weight in {_path}; they are of different models");
        }

        float[] sums = GetSums(), more = other.GetSums();
        long[] counts = GetDivisors(), moreCounts = other.GetDivisors();
        if (counts.Length != moreCounts.Length && counts.Length != 1 && moreCounts.Length != 1)
        {
            throw other.Error($"there are {moreCounts.Length} counts, and {counts.Length} for the same weight in {_path}");
        }

        long[] all = [.. Enumerable.Range(0, Math.Max(counts.Length, moreCounts.Length))
            .Select(i => counts[counts.Length == 1 ? 0 : i] + moreCounts[moreCounts.Length == 1 ? 0 : i])];
        float[] inputs = GetInputSums(), moreInputs = other.GetInputSums();
        return new ImportanceEntry(
            Name, Add(sums, more), all, inputs.Length == moreInputs.Length ? Add(inputs, moreInputs) : [])
        {
            LossPerError = LossPerError is double a && other.LossPerError is double b ? (a + b) / 2 : LossPerError ?? other.LossPerError,
        };

        static float[] Add(float[] a, float[] b) => [.. a.Zip(b, (x, y) => (float)((double)x + y))];
    }

    /// <summary>The counts, or 1 for means without one.</summary>
    internal long[] GetDivisors() => _valuesAreMeans ? [Math.Max(1, GetCounts()[0])] : GetCounts();

    /// <summary>Whether there was any input: an entry without is not worth keeping where zero counts cannot be told.</summary>
    internal bool HasData() => _valuesAreMeans || GetCounts().Any(count => count > 0);

    private float[] GetValues()
    {
        if (ValueCount > Array.MaxLength)
        {
            throw Error($"there are {ValueCount} values, more than fit into memory at once");
        }

        float[] values = _values.ToArray();
        for (int i = 0; i < values.Length; i++)
        {
            if (!(values[i] >= 0) || float.IsInfinity(values[i]))
            {
                throw Error($"value {i} is {values[i]}; only finite ones that are not negative make sense");
            }
        }

        return values;
    }

    private ModelFormatException Error(string problem) => new(_path, problem, Name);
}
