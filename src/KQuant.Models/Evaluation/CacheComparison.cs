namespace KQuant.Models.Evaluation;

/// <summary>What a model writes with a cache in f16, and with another.</summary>
public sealed record CacheComparison
{
    /// <summary>What it wrote with a cache in f16.</summary>
    public required IReadOnlyList<int> DenseTokens { get; init; }

    /// <summary>What it wrote with the other.</summary>
    public required IReadOnlyList<int> OtherTokens { get; init; }

    /// <summary>Tokens that both begin with.</summary>
    public required int CommonTokens { get; init; }

    /// <summary>The mean Kullback-Leibler divergence from the distributions with f16, over the tokens written with that, in nats.</summary>
    public required double MeanDivergence { get; init; }

    /// <summary>The largest one.</summary>
    public required double MaxDivergence { get; init; }

    /// <summary>Bytes of a cache in f16 that holds the prompt and what was written with it.</summary>
    public required long DenseBytes { get; init; }

    /// <summary>Bytes of the other cache for the same text.</summary>
    public required long OtherBytes { get; init; }
}
