namespace KQuant.Models.Evaluation;

/// <summary>How far the distributions of a model are from those of another, over the same tokens.</summary>
/// <param name="Perplexity">The other model's perplexity.</param>
/// <param name="MeanDivergence">Mean Kullback-Leibler divergence of this model from the other, in nats.</param>
/// <param name="Divergence999">The divergence that one token in a thousand exceeds.</param>
/// <param name="MaxDivergence">The largest divergence.</param>
/// <param name="SameTop">Part of the tokens for which both think the same one most likely.</param>
/// <param name="ProbabilityRmse">Root mean square difference of the probabilities of the tokens that came.</param>
public sealed record ModelComparison(
    double Perplexity, double MeanDivergence, double Divergence999, double MaxDivergence, double SameTop, double ProbabilityRmse);
