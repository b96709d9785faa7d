namespace KQuant.Models.Generation;

/// <summary>A token of a generated text.</summary>
public sealed record GeneratedToken
{
    /// <summary>Its id.</summary>
    public required int Id { get; init; }

    /// <summary>
    /// The text that is certain with it. Empty while a character is incomplete or a stop sequence may have begun; what was held back comes with a
    /// later token.
    /// </summary>
    public required string Text { get; init; }

    /// <summary>Natural logarithm of its probability, after penalties and at temperature 1.</summary>
    public required float LogProbability { get; init; }

    /// <summary>Why it is the last one.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>The one of <see cref="GenerationOptions.StopSequences"/> that ended the text; null where none did.</summary>
    public string? StopSequence { get; init; }

    /// <summary>The most likely tokens in its place, best first, if they were asked for.</summary>
    public IReadOnlyList<TokenProbability> Top { get; init; } = [];
}
