namespace KQuant.Models.Evaluation;

/// <summary>How a text is cut for measuring.</summary>
public sealed record PerplexityOptions
{
    /// <summary>Tokens that the model sees at most: the length of a window.</summary>
    public int WindowLength { get; init; } = 256;

    /// <summary>
    /// Tokens from one window to the next; 0 for <see cref="WindowLength"/>. With a smaller stride only the last so many tokens of a
    /// window count (all of the first), which is slower and closer to how a model is used.
    /// </summary>
    public int Stride { get; init; }

    /// <summary>Windows to measure; 0 for all.</summary>
    public int MaxWindows { get; init; }

    /// <summary>
    /// The token that stands at the beginning of every window in place of the one that the text has there, as in llama.cpp; null to leave
    /// windows as they are. For models whose tokenizer adds such a token.
    /// </summary>
    public int? FirstToken { get; init; }

    /// <summary>A model to compare with, usually the same in floats. Its distributions are the ones that matter.</summary>
    public LanguageModel? Against { get; init; }
}
