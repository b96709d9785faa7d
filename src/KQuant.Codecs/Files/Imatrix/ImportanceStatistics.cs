namespace KQuant.Codecs.Files;

/// <summary>
/// llama.cpp's statistics of the inputs of one weight. Mean, deviation, skewness and kurtosis are those of the mean inputs of the columns
/// where these are known, else of the mean squares.
/// </summary>
public sealed record ImportanceStatistics
{
    /// <summary>The name of the weight.</summary>
    public required string Name { get; init; }

    /// <summary>The number of its layer, -1 for none.</summary>
    public required int Layer { get; init; }

    /// <summary>Columns of all experts that have seen an input.</summary>
    public required int Values { get; init; }

    /// <summary>Inputs of the expert that has seen the fewest.</summary>
    public required long LeastCount { get; init; }

    /// <summary>Sum of the mean squares of all columns.</summary>
    public required double SumOfSquares { get; init; }

    /// <summary>The mean.</summary>
    public required double Mean { get; init; }

    /// <summary>The standard deviation.</summary>
    public required double Deviation { get; init; }

    /// <summary>The skewness.</summary>
    public required double Skewness { get; init; }

    /// <summary>The kurtosis above that of a normal distribution.</summary>
    public required double Kurtosis { get; init; }

    /// <summary>Entropy of how the squares are spread over the columns, in bits over the largest possible: 1 when all are alike.</summary>
    public required double Entropy { get; init; }

    /// <summary>Root of the sum of squares over that of the same weight in the layer before; null where there is none.</summary>
    public double? Gain { get; init; }

    /// <summary>Distance of the means from those in the layer before.</summary>
    public double? Distance { get; init; }

    /// <summary>Cosine of the angle between both.</summary>
    public double? Cosine { get; init; }

    /// <summary>Pearson correlation of both.</summary>
    public double? Correlation { get; init; }

    /// <summary>The statistics of all weights.</summary>
    /// <param name="matrix">An importance matrix.</param>
    /// <returns>One for each entry that has data, by layer and name.</returns>
    /// <exception cref="ModelFormatException">A value is negative or not finite.</exception>
    public static IReadOnlyList<ImportanceStatistics> Of(ImportanceMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        var found = new List<ImportanceStatistics>();
        foreach (ImportanceEntry entry in matrix.Entries)
        {
            if (!entry.HasData())
            {
                continue;
            }

            ImportanceStatistics own = Of(entry);
            string before = own.Layer > 0 ? entry.Name.Replace($".{own.Layer}.", $".{own.Layer - 1}.", StringComparison.Ordinal) : "";
            found.Add(matrix.TryGet(before, out ImportanceEntry? previous) && previous.ValueCount == entry.ValueCount && previous.HasData()
                ? Compare(own, entry, previous)
                : own);
        }

        return [.. found.OrderBy(statistics => statistics.Layer).ThenBy(statistics => statistics.Name, StringComparer.Ordinal)];
    }

    private static ImportanceStatistics Of(ImportanceEntry entry)
    {
        (double[] means, double[] squares) = GetMeans(entry);
        double mean = means.Average(), energy = squares.Sum();
        double second = means.Average(value => Math.Pow(value - mean, 2)), third = means.Average(value => Math.Pow(value - mean, 3));
        double fourth = means.Average(value => Math.Pow(value - mean, 4));
        double entropy = energy > 0 ? -squares.Where(value => value > 0).Sum(value => value / energy * Math.Log2(value / energy)) : 0;
        bool spreads = Math.Sqrt(second) > 1e-10;
        return new ImportanceStatistics
        {
            Name = entry.Name,
            Layer = LayerOf(entry.Name),
            Values = means.Length,
            LeastCount = entry.GetCounts().Min(),
            SumOfSquares = energy,
            Mean = mean,
            Deviation = Math.Sqrt(second),
            Skewness = spreads ? third / Math.Pow(second, 1.5) : 0,
            Kurtosis = spreads ? (fourth / (second * second)) - 3 : 0,
            Entropy = squares.Length > 1 ? entropy / Math.Log2(squares.Length) : 0,
        };
    }

    private static ImportanceStatistics Compare(ImportanceStatistics own, ImportanceEntry entry, ImportanceEntry previous)
    {
        (double[] x, _) = GetMeans(entry);
        (double[] y, double[] squares) = GetMeans(previous);
        if (x.Length != y.Length)
        {
            return own;
        }

        double dot = 0, xx = 0, yy = 0, distance = 0, xy = 0, dx = 0, dy = 0, xMean = x.Average(), yMean = y.Average();
        for (int i = 0; i < x.Length; i++)
        {
            dot += x[i] * y[i];
            xx += x[i] * x[i];
            yy += y[i] * y[i];
            distance += (x[i] - y[i]) * (x[i] - y[i]);
            xy += (x[i] - xMean) * (y[i] - yMean);
            dx += (x[i] - xMean) * (x[i] - xMean);
            dy += (y[i] - yMean) * (y[i] - yMean);
        }

        double before = squares.Sum();
        return own with
        {
            Gain = before > 1e-10 ? Math.Sqrt(own.SumOfSquares / before) : null,
            Distance = Math.Sqrt(distance),
            Cosine = xx > 0 && yy > 0 ? dot / Math.Sqrt(xx * yy) : null,
            Correlation = dx > 0 && dy > 0 ? xy / Math.Sqrt(dx * dy) : null,
        };
    }

    /// <summary>Mean inputs (or, where they are not known, mean squares) and mean squares, of experts that have seen something.</summary>
    private static (double[] Means, double[] Squares) GetMeans(ImportanceEntry entry)
    {
        float[] squares = entry.GetImportance(), means = entry.HasInputSums ? entry.GetInputMeans() : squares;
        long[] counts = entry.GetDivisors();
        int columns = squares.Length / counts.Length;
        int[] seen = [.. Enumerable.Range(0, squares.Length).Where(i => counts[i / columns] > 0)];
        return ([.. seen.Select(i => (double)means[i])], [.. seen.Select(i => (double)squares[i])]);
    }

    private static int LayerOf(string name)
    {
        string? number = name.Split('.').FirstOrDefault(part => part.Length is > 0 and < 7 && part.All(char.IsAsciiDigit));
        return number is null ? -1 : int.Parse(number, System.Globalization.CultureInfo.InvariantCulture);
    }
}
