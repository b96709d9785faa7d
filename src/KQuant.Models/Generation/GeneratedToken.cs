namespace KQuant.Models.Generation;

/// <summary>A token of a generated text.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Text">
/// The text that is certain with it. Empty while a character is incomplete or a stop sequence may have begun; what was held back comes with a
/// later token.
/// </param>
/// <param name="LogProbability">Natural logarithm of its probability, after penalties and at temperature 1.</param>
/// <param name="FinishReason">Why it is the last one.</param>
public sealed record GeneratedToken(int Id, string Text, float LogProbability, FinishReason FinishReason)
{
    /// <summary>The most likely tokens in its place, best first, if they were asked for.</summary>
    public IReadOnlyList<TokenProbability> Top { get; init; } = [];
}
