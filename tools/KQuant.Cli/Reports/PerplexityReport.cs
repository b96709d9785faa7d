namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant perplexity --json</c> prints.</summary>
internal sealed record PerplexityReport(
    string Model,
    int TextTokens,
    int Windows,
    long PredictedTokens,
    double MeanLoss,
    double Perplexity,
    double StandardError,
    string? Against,
    ComparisonReport? Comparison);

/// <summary>How far the model is from the other.</summary>
internal sealed record ComparisonReport(
    double Perplexity,
    double MeanDivergence,
    double Divergence999,
    double MaxDivergence,
    double SameTop,
    double ProbabilityRmse);
