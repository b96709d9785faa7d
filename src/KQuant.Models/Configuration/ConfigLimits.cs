using KQuant.Codecs;
using static System.FormattableString;

namespace KQuant.Models.Configuration;

/// <summary>Bounds of what a config may say, far above every real model and low enough that nothing overflows or is allocated for them.</summary>
internal static class ConfigLimits
{
    public const int MaxLayers = 10_000;

    // Sums over layers of products of two widths stay below 2^63, and rows of a chunk times any of them below 2^47.
    private const int MaxHidden = 1 << 20;
    private const int MaxWidth = 1 << 26;
    private const int MaxVocabulary = 1 << 24;
    private const int MaxExperts = 1 << 16;

    /// <summary>Refuses more layers than a model has, before there is a value for each.</summary>
    public static int CheckLayers(string path, string key, int layers) => layers <= MaxLayers
        ? layers
        : throw new ModelFormatException(path, $"'{key}' is {layers}; at most {MaxLayers} layers are taken");

    /// <summary>A width that is a product; where it is no number of 32 bits, one that <see cref="Check(string, ModelConfig)"/> refuses.</summary>
    public static int Multiply(int count, int width) => (int)Math.Min((long)count * width, int.MaxValue);

    /// <exception cref="ModelFormatException">A size is absurd, or a number makes every result NaN.</exception>
    public static void Check(string path, ModelConfig config)
    {
        Check(path, "the width between layers", config.HiddenSize, MaxHidden);
        Check(path, "the number of tokens", config.VocabularySize, MaxVocabulary);
        Check(path, "the number of experts", config.Experts?.Count ?? 0, MaxExperts);
        CheckWidth(path, "the width of all heads", (long)config.HeadCount * config.HeadSize);
        CheckWidth(path, "the width of feed-forward layers", config.IntermediateSize);
        CheckWidth(path, "the width of all experts", config.Experts is { } experts ? (long)experts.Count * experts.IntermediateSize : 0);
        CheckWidth(path, "the width of the biases of all experts", config.Experts is { HasBias: true } biased ? (long)biased.Count * config.HiddenSize : 0);
        CheckWidth(path, "the width of the shared expert", config.Experts?.SharedIntermediateSize ?? 0);
        if (config.NormEpsilon < 0)
        {
            throw new ModelFormatException(path, Invariant($"the epsilon of norms is {config.NormEpsilon}, which is negative"));
        }

        foreach (RopeConfig rope in config.LocalRope is null ? [config.Rope] : new[] { config.Rope, config.LocalRope })
        {
            if (rope.Theta <= 0)
            {
                throw new ModelFormatException(path, Invariant($"the base of rotary frequencies is {rope.Theta} and should be above 0"));
            }
        }

        if (!float.IsFinite(config.AttentionScale))
        {
            throw new ModelFormatException(path, Invariant($"attention scores are multiplied with {config.AttentionScale}"));
        }
    }

    private static void CheckWidth(string path, string name, long width) => Check(path, name, width, MaxWidth);

    private static void Check(string path, string name, long value, long most)
    {
        if (value > most)
        {
            throw new ModelFormatException(path, $"{name} is {value}; at most {most} is taken");
        }
    }
}
