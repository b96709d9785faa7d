using System.Globalization;

namespace KQuant.Models.Generation;

/// <summary>
/// How the next token is chosen. In this order, as mlx-lm does it: repetition, presence and frequency penalties on the logits; then, unless
/// the temperature is 0, top-p, min-p, XTC and top-k on the log-probabilities; then a draw at the temperature.
/// </summary>
/// <example>
/// <code>
/// var sampling = new SamplingOptions { Temperature = 0.7f, TopP = 0.9f, MinP = 0.05f, Seed = 1 };
/// var options = new GenerationOptions { Sampling = sampling, StopSequences = ["\n\n"] };
/// </code>
/// </example>
public sealed record SamplingOptions
{
    /// <summary>The most likely token, always.</summary>
    public static SamplingOptions Greedy { get; } = new();

    /// <summary>What log-probabilities are divided by before the draw; 0 takes the most likely token.</summary>
    public float Temperature { get; init; }

    /// <summary>Keeps the most likely tokens that make up this much probability; 0 and 1 keep all.</summary>
    public float TopP { get; init; }

    /// <summary>Keeps so many of the most likely tokens; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps tokens at least this much as likely as the most likely one; 0 keeps all.</summary>
    public float MinP { get; init; }

    /// <summary>Probability of excluding top choices: of removing all tokens above <see cref="XtcThreshold"/> but the least likely of them.</summary>
    public float XtcProbability { get; init; }

    /// <summary>The probability above which a token is a top choice.</summary>
    public float XtcThreshold { get; init; } = 0.1f;

    /// <summary>Tokens that XTC never removes, such as the end of text and the line break.</summary>
    public IReadOnlyList<int> XtcExceptions { get; init; } = [];

    /// <summary>Logits of recent tokens are divided by this, or multiplied where they are negative; 1 changes nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken from the logits of recent tokens, once.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Taken from the logits of recent tokens, as often as they came.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>
    /// How many tokens are recent, prompt included, for all three penalties; 20 as in mlx-lm. Where a model's makers give a repetition penalty
    /// (<see cref="LanguageModel.DefaultSampling"/>) it is as they mean it: all tokens for one of <c>generation_config.json</c>, as in
    /// transformers, and for one of a GGUF as many as <c>general.sampling.penalty_last_n</c> says, 64 without it, as in llama.cpp. Who
    /// changes a penalty of theirs, as chat clients and <c>kquant</c> do, changes how strong it is and not what it is for.
    /// </summary>
    public int PenaltyContext { get; init; } = StandardPenaltyContext;

    /// <summary>Added to the logits of tokens before everything else.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>Where draws begin: the same seed gives the same text. Null for another text every time.</summary>
    public int? Seed { get; init; }

    /// <summary>mlx-lm's number of recent tokens.</summary>
    internal const int StandardPenaltyContext = 20;

    /// <summary>Whether any penalty has an effect.</summary>
    internal bool Penalizes => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;

    /// <summary>Refuses what makes no sense.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range or not finite.</exception>
    internal void Check()
    {
        Require(Temperature, 0, float.MaxValue, nameof(Temperature));
        Require(TopP, 0, 1, nameof(TopP));
        Require(MinP, 0, 1, nameof(MinP));
        Require(XtcProbability, 0, 1, nameof(XtcProbability));
        Require(XtcThreshold, 0, 0.5f, nameof(XtcThreshold));
        Require(RepetitionPenalty, float.Epsilon, float.MaxValue, nameof(RepetitionPenalty));
        Require(PresencePenalty, -1000, 1000, nameof(PresencePenalty));
        Require(FrequencyPenalty, -1000, 1000, nameof(FrequencyPenalty));
        ArgumentOutOfRangeException.ThrowIfNegative(TopK, nameof(TopK));
        ArgumentOutOfRangeException.ThrowIfNegative(PenaltyContext, nameof(PenaltyContext));
    }

    private static void Require(float value, float least, float most, string name)
    {
        if (!(value >= least && value <= most))
        {
            throw new ArgumentOutOfRangeException(
                name,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{name} is {value}; it lies between {least:g3} and {(most == float.MaxValue ? "infinity" : most.ToString("g3", CultureInfo.InvariantCulture))}."));
        }
    }
}
