namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant compare --json</c> prints.</summary>
internal sealed record CompareReport(string Against, string File, int Tokens, IReadOnlyList<ComparedModelReport> Models);

/// <summary>One of the models.</summary>
internal sealed record ComparedModelReport(
    string Model,
    long WeightBytes,
    double BitsPerWeight,
    long FileBytes,
    double Perplexity,
    double PerplexityError,
    double Ratio,
    double MeanDivergence,
    double Divergence999,
    double SameTop);
