using KQuant.Codecs;
using static System.FormattableString;

namespace KQuant.Models.Configuration;

/// <summary>Bounds of what a config may say, far above every real model and low enough that nothing overflows or is allocated for them.</summary>
internal static class ConfigLimits
{
    public const int MaxLayers = 10_000;
    private const int MaxWidth = 1 << 26;

    /// <summary>Refuses more layers than a model has, before there is a value for each.</summary>
    public static int CheckLayers(string path, string key, int layers) => layers <= MaxLayers
        ? layers
        : throw new ModelFormatException(path, $"'{key}' is {layers}; at most {MaxLayers} layers are taken");

    /// <exception cref="ModelFormatException">A size is absurd, or a number makes every result NaN.</exception>
    public static void Check(string path, ModelConfig config)
    {
        CheckWidth(path, "the width of all heads", (long)config.HeadCount * config.HeadSize);
        CheckWidth(path, "the width of feed-forward layers", config.IntermediateSize);
        CheckWidth(path, "the width of all experts", config.Experts is { } experts ? (long)experts.Count * experts.IntermediateSize : 0);
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

    private static void CheckWidth(string path, string name, long width)
    {
        if (width > MaxWidth)
        {
            throw new ModelFormatException(path, $"{name} is {width}; at most {MaxWidth} is taken");
        }
    }
}
