using System.Collections.Immutable;
using System.Globalization;

namespace KQuant.Models.Configuration;

/// <summary>A <see cref="ModelConfig"/> field by field as text, to find where two of them differ.</summary>
internal static class ConfigFields
{
    /// <summary>All fields but those that a tokenizer decides (<see cref="ModelConfig.BosId"/>, <see cref="ModelConfig.EosIds"/>).</summary>
    public static IEnumerable<(string Name, string Value)> List(ModelConfig config)
    {
        yield return (nameof(config.Architecture), config.Architecture);
        yield return (nameof(config.HiddenSize), Text(config.HiddenSize));
        yield return (nameof(config.LayerCount), Text(config.LayerCount));
        yield return (nameof(config.HeadCount), Text(config.HeadCount));
        yield return (nameof(config.KeyValueHeadCount), Text(config.KeyValueHeadCount));
        yield return (nameof(config.HeadSize), Text(config.HeadSize));
        yield return (nameof(config.IntermediateSize), Text(config.IntermediateSize));
        yield return (nameof(config.VocabularySize), Text(config.VocabularySize));
        yield return (nameof(config.ContextLength), Text(config.ContextLength));
        yield return (nameof(config.NormEpsilon), Text(config.NormEpsilon));
        foreach ((string name, string value) in List(nameof(config.Rope), config.Rope).Concat(List(nameof(config.LocalRope), config.LocalRope)))
        {
            yield return (name, value);
        }

        yield return (nameof(config.InterleavedRope), Text(config.InterleavedRope));
        yield return (nameof(config.Activation), config.Activation.ToString());
        yield return (nameof(config.EmbeddingScale), Text(config.EmbeddingScale));
        yield return (nameof(config.AttentionScale), Text(config.AttentionScale));
        yield return (nameof(config.ResidualScale), Text(config.ResidualScale));
        yield return (nameof(config.LogitDivisor), Text(config.LogitDivisor));
        yield return (nameof(config.AttentionSoftCap), Text(config.AttentionSoftCap));
        yield return (nameof(config.LogitSoftCap), Text(config.LogitSoftCap));
        yield return (nameof(config.Windows), Text(config.Windows));
        yield return (nameof(config.RotatedLayers), Text(config.RotatedLayers));
        yield return (nameof(config.HasSinks), Text(config.HasSinks));
        yield return (nameof(config.HasProjectionBias), Text(config.HasProjectionBias));
        yield return (nameof(config.HasOutputBias), Text(config.HasOutputBias));
        yield return (nameof(config.HasFeedForwardBias), Text(config.HasFeedForwardBias));
        yield return (nameof(config.HasHeadNorms), Text(config.HasHeadNorms));
        yield return (nameof(config.HasPostNorms), Text(config.HasPostNorms));
        yield return (nameof(config.NormsAddOne), Text(config.NormsAddOne));
        yield return (nameof(config.TiesEmbedding), Text(config.TiesEmbedding));
        foreach ((string name, string value) in List(nameof(config.Experts), config.Experts))
        {
            yield return (name, value);
        }
    }

    /// <summary>The first field in which two configurations differ, with both values; null when there is none.</summary>
    public static (string Name, string One, string Other)? FindDifference(ModelConfig one, ModelConfig other)
    {
        Dictionary<string, string> others = List(other).ToDictionary(field => field.Name, field => field.Value);
        foreach ((string name, string value) in List(one))
        {
            if (!others.Remove(name, out string? found) || found != value)
            {
                return (name, value, found ?? "nothing");
            }
        }

        return others.Count == 0 ? null : (others.First().Key, "nothing", others.First().Value);
    }

    private static IEnumerable<(string Name, string Value)> List(string prefix, RopeConfig? rope) => rope is null ? [] :
    [
        ($"{prefix}.{nameof(rope.Kind)}", rope.Kind.ToString()),
        ($"{prefix}.{nameof(rope.Theta)}", Text(rope.Theta)),
        ($"{prefix}.{nameof(rope.Dimensions)}", Text(rope.Dimensions)),
        ($"{prefix}.{nameof(rope.Factor)}", Text(rope.Factor)),
        ($"{prefix}.{nameof(rope.OriginalContext)}", Text(rope.OriginalContext)),
        ($"{prefix}.{nameof(rope.LowFrequencyFactor)}", Text(rope.LowFrequencyFactor)),
        ($"{prefix}.{nameof(rope.HighFrequencyFactor)}", Text(rope.HighFrequencyFactor)),
        ($"{prefix}.{nameof(rope.BetaFast)}", Text(rope.BetaFast)),
        ($"{prefix}.{nameof(rope.BetaSlow)}", Text(rope.BetaSlow)),
        ($"{prefix}.{nameof(rope.Truncate)}", Text(rope.Truncate)),
        ($"{prefix}.{nameof(rope.AttentionFactor)}", Text(rope.AttentionFactor)),
        ($"{prefix}.{nameof(rope.ShortDivisors)}", Text(rope.ShortDivisors)),
        ($"{prefix}.{nameof(rope.LongDivisors)}", Text(rope.LongDivisors)),
        ($"{prefix}.{nameof(rope.SwitchesByContext)}", Text(rope.SwitchesByContext)),
    ];

    private static IEnumerable<(string Name, string Value)> List(string prefix, ExpertConfig? experts) => experts is null ? [] :
    [
        ($"{prefix}.{nameof(experts.Count)}", Text(experts.Count)),
        ($"{prefix}.{nameof(experts.PerToken)}", Text(experts.PerToken)),
        ($"{prefix}.{nameof(experts.IntermediateSize)}", Text(experts.IntermediateSize)),
        ($"{prefix}.{nameof(experts.Score)}", experts.Score.ToString()),
        ($"{prefix}.{nameof(experts.HasChoiceBias)}", Text(experts.HasChoiceBias)),
        ($"{prefix}.{nameof(experts.Normalizes)}", Text(experts.Normalizes)),
        ($"{prefix}.{nameof(experts.LeastSum)}", Text(experts.LeastSum)),
        ($"{prefix}.{nameof(experts.WeightScale)}", Text(experts.WeightScale)),
        ($"{prefix}.{nameof(experts.HasBias)}", Text(experts.HasBias)),
        ($"{prefix}.{nameof(experts.SharedIntermediateSize)}", Text(experts.SharedIntermediateSize)),
        ($"{prefix}.{nameof(experts.HasSharedGate)}", Text(experts.HasSharedGate)),
        ($"{prefix}.{nameof(experts.Layers)}", Text(experts.Layers)),
    ];

    private static string Text<T>(T value)
        where T : IConvertible => value.ToString(CultureInfo.InvariantCulture);

    private static string Text<T>(ImmutableArray<T> values)
        where T : IConvertible => $"[{string.Join(", ", values.Select(Text))}]";
}
