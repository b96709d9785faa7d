namespace KQuant.Models.Evaluation;

/// <summary>How far the distributions of a model are from those of another, over the same tokens.</summary>
public sealed record ModelComparison
{
    /// <summary>The other model's perplexity.</summary>
    public required double Perplexity { get; init; }

    /// <summary>Mean Kullback-Leibler divergence of this model from the other, in nats.</summary>
    public required double MeanDivergence { get; init; }

    /// <summary>The divergence that one token in a thousand exceeds.</summary>
    public required double Divergence999 { get; init; }

    /// <summary>The largest divergence.</summary>
    public required double MaxDivergence { get; init; }

    /// <summary>Part of the tokens for which both think the same one most likely.</summary>
    public required double SameTop { get; init; }

    /// <summary>Root mean square difference of the probabilities of the tokens that came.</summary>
    public required double ProbabilityRmse { get; init; }
}
