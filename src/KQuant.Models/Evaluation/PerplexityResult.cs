namespace KQuant.Models.Evaluation;

/// <summary>How well a model predicts a text.</summary>
public sealed record PerplexityResult
{
    /// <summary>Windows that were measured.</summary>
    public required int Windows { get; init; }

    /// <summary>Tokens that were predicted.</summary>
    public required long Tokens { get; init; }

    /// <summary>Mean negative logarithm of their probabilities, in nats.</summary>
    public required double MeanLoss { get; init; }

    /// <summary>Standard error of that mean.</summary>
    public required double StandardError { get; init; }

    /// <summary>How far the distributions are from another model's, or null.</summary>
    public ModelComparison? Comparison { get; init; }

    /// <summary><c>exp(mean loss)</c>.</summary>
    public double Perplexity => Math.Exp(MeanLoss);

    /// <summary>Standard error of the perplexity.</summary>
    public double PerplexityError => Perplexity * StandardError;
}
