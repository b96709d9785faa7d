using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models;

namespace KQuant.Cli.Commands;

/// <summary>Names the parts of a model.</summary>
internal static class ArchitectureInspection
{
    /// <summary>The parts of a model.</summary>
    /// <returns>Null and why where KQuant cannot tell; two nulls for what is no whole model.</returns>
    public static (ArchitectureReport? Report, string? Problem) Inspect(ModelSource source)
    {
        if (source.Architecture is null || source is not (ModelFolder or GgufModel))
        {
            return (null, null);
        }

        try
        {
            return (Describe(ModelConfig.Read(source)), null);
        }
        catch (ModelFormatException problem)
        {
            return (null, problem.Message);
        }
    }

    /// <summary>One line for each part.</summary>
    public static void Write(ArchitectureReport report, TextWriter output)
    {
        var table = new TextTable("part", "layers", "what") { TextColumns = 3 };
        foreach (AttentionReport attention in report.Attention)
        {
            table.Add("attention", Ranges(attention.Layers), string.Join(", ", Facts(attention)));
        }

        foreach (FeedForwardReport part in report.FeedForward)
        {
            table.Add(part.Experts is null ? "dense" : "experts", Ranges(part.Layers), string.Join(", ", Facts(part)));
        }

        table.Add("logits", "", report.TiesEmbedding ? "by the embedding" : "by a matrix of their own");
        string beyond = report.CacheBytesPerTokenBeyondWindows == report.CacheBytesPerToken
            ? ""
            : $", {Amounts.Bytes(report.CacheBytesPerTokenBeyondWindows)} once the windows are full";
        table.Add("cache", "", $"{Amounts.Bytes(report.CacheBytesPerToken)} per token in f16{beyond}");
        table.Add("work", "", $"{Amounts.Count(report.ActiveWeights)} weights per token");
        table.Write(output);
    }

    /// <summary>Numbers in rising order as ranges: <c>0-5, 7</c>, and <c>0-22 by 2</c> where they alternate.</summary>
    internal static string Ranges(IReadOnlyList<int> numbers)
    {
        List<string> ranges = [];
        for (int first = 0; first < numbers.Count;)
        {
            int step = first + 1 < numbers.Count ? numbers[first + 1] - numbers[first] : 1, last = first;
            while (last + 1 < numbers.Count && numbers[last + 1] - numbers[last] == step)
            {
                last++;
            }

            // Two numbers that are not neighbours are no range: the second may begin one.
            last = step > 1 && last == first + 1 ? first : last;
            ranges.Add((last - first, step) switch
            {
                (0, _) => $"{numbers[first]}",
                (_, 1) => $"{numbers[first]}-{numbers[last]}",
                _ => $"{numbers[first]}-{numbers[last]} by {step}",
            });
            first = last + 1;
        }

        return string.Join(", ", ranges);
    }

    private static ArchitectureReport Describe(ModelConfig config)
    {
        int[] layers = [.. Enumerable.Range(0, config.LayerCount)];
        long perLayer = 2L * config.KeyValueHeadCount * config.HeadSize * sizeof(ushort);
        return new ArchitectureReport(
            [
                .. layers.GroupBy(layer => (Window: config.GetWindow(layer), Rotated: config.IsRotated(layer))).Select(group => new AttentionReport(
                    [.. group], config.HeadCount, config.KeyValueHeadCount, config.HeadSize, group.Key.Window == 0 ? null : group.Key.Window,
                    group.Key.Rotated, config.HasHeadNorms, config.HasSinks, config.AttentionSoftCap == 0 ? null : config.AttentionSoftCap)),
            ],
            [.. layers.GroupBy(config.HasExperts).Select(group => FeedForward(config, [.. group], group.Key ? config.Experts : null))],
            config.TiesEmbedding,
            config.ActiveWeights,
            perLayer * layers.Length,
            perLayer * layers.Count(layer => config.GetWindow(layer) == 0));
    }

    private static FeedForwardReport FeedForward(ModelConfig config, int[] layers, ExpertConfig? experts)
    {
        string activation = config.Activation switch
        {
            GateActivation.Silu => "silu",
            GateActivation.ClampedSwiglu => "clamped swiglu",
            _ => "gelu",
        };
        return experts is null
            ? new FeedForwardReport(layers, config.IntermediateSize, activation, null, null, null, null)
            : new FeedForwardReport(
                layers, experts.IntermediateSize, activation, experts.Count, experts.PerToken,
                experts.Score == RouterScore.Sigmoid ? "sigmoid" : "softmax",
                experts.SharedIntermediateSize == 0 ? null : experts.SharedIntermediateSize);
    }

    private static IEnumerable<string> Facts(AttentionReport attention)
    {
        yield return $"{attention.QueryHeads} query heads of {attention.HeadSize}, {attention.KeyValueHeads} of keys and values";
        yield return attention.Window is int window ? $"a window of {window} positions" : "all positions";
        if (!attention.Rotated)
        {
            yield return "not rotated";
        }

        if (attention.HeadNorms)
        {
            yield return "normalized heads";
        }

        if (attention.Sinks)
        {
            yield return "sinks";
        }

        if (attention.SoftCap is float cap)
        {
            yield return $"scores within {cap.ToString(CultureInfo.InvariantCulture)}";
        }
    }

    private static IEnumerable<string> Facts(FeedForwardReport part)
    {
        yield return part.Experts is null
            ? $"{part.IntermediateSize} wide"
            : $"{part.Experts} experts, {part.ExpertsPerToken} per token, {part.IntermediateSize} wide";
        yield return part.Activation;
        if (part.Router is not null)
        {
            yield return $"{part.Router} router";
        }

        if (part.SharedIntermediateSize is int shared)
        {
            yield return $"a shared expert {shared} wide";
        }
    }
}
