namespace KQuant.Models.Generation;

/// <summary>What to generate.</summary>
public sealed record GenerationOptions
{
    /// <summary>
    /// How tokens are chosen; null for <see cref="LanguageModel.DefaultSampling"/>. What is given counts alone: to change a value of the
    /// model's own, write <c>model.DefaultSampling with { ... }</c>.
    /// </summary>
    public SamplingOptions? Sampling { get; init; }

    /// <summary>Tokens to generate at most.</summary>
    public int MaxTokens { get; init; } = 256;

    /// <summary>Texts that end it; they are not part of it.</summary>
    public IReadOnlyList<string> StopSequences { get; init; } = [];

    /// <summary>Tokens that end it; null for those of the model.</summary>
    public IReadOnlyList<int>? StopTokens { get; init; }

    /// <summary>How many of the most likely tokens to report with each.</summary>
    public int TopLogProbabilities { get; init; }

    /// <summary>Whether special tokens appear in the text.</summary>
    public bool IncludeSpecialTokens { get; init; }

    /// <summary>
    /// What came before the prompt; advanced, so that the text can be continued. The last token that was generated is not in it yet. Null
    /// for nothing.
    /// </summary>
    public KeyValueCache? Cache { get; init; }

    /// <summary>Tokens to remember at most, see <see cref="LanguageModel.CreateCache(int)"/>; not read where there is a <see cref="Cache"/>.</summary>
    public int MaxCacheSize { get; init; }

    /// <summary>What changes the logits of every token before it is chosen, in this order: grammars, and processors of one's own.</summary>
    public IReadOnlyList<LogitsProcessor> Processors { get; init; } = [];

    /// <summary>Refuses what makes no sense.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range or not finite.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxTokens, 1, nameof(MaxTokens));
        ArgumentOutOfRangeException.ThrowIfNegative(TopLogProbabilities, nameof(TopLogProbabilities));
        Sampling?.Check();
    }
}
