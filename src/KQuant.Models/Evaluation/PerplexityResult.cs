namespace KQuant.Models.Evaluation;

/// <summary>How well a model predicts a text.</summary>
/// <param name="Windows">Windows that were measured.</param>
/// <param name="Tokens">Tokens that were predicted.</param>
/// <param name="MeanLoss">Mean negative logarithm of their probabilities, in nats.</param>
/// <param name="StandardError">Standard error of that mean.</param>
/// <param name="Comparison">How far the distributions are from another model's, or null.</param>
public sealed record PerplexityResult(int Windows, long Tokens, double MeanLoss, double StandardError, ModelComparison? Comparison)
{
    /// <summary><c>exp(mean loss)</c>.</summary>
    public double Perplexity => Math.Exp(MeanLoss);

    /// <summary>Standard error of the perplexity.</summary>
    public double PerplexityError => Perplexity * StandardError;
}
