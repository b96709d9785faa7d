namespace KQuant.Models.Evaluation;

/// <summary>Where a measurement is.</summary>
public readonly record struct PerplexityProgress
{
    /// <summary>Windows measured so far.</summary>
    public required int Windows { get; init; }

    /// <summary>Windows in all.</summary>
    public required int TotalWindows { get; init; }

    /// <summary>Tokens predicted so far.</summary>
    public required long Tokens { get; init; }

    /// <summary>The perplexity over them.</summary>
    public required double Perplexity { get; init; }
}
