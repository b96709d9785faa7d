namespace KQuant.Models.Evaluation;

/// <summary>Where a measurement is.</summary>
/// <param name="Windows">Windows measured so far.</param>
/// <param name="TotalWindows">Windows in all.</param>
/// <param name="Tokens">Tokens predicted so far.</param>
/// <param name="Perplexity">The perplexity over them.</param>
public readonly record struct PerplexityProgress(int Windows, int TotalWindows, long Tokens, double Perplexity);
