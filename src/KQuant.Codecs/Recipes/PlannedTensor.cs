using KQuant.Codecs.Files;

namespace KQuant.Codecs.Recipes;

/// <summary>What a plan does with one tensor.</summary>
public sealed record PlannedTensor
{
    /// <summary>The tensor.</summary>
    public required ModelTensor Source { get; init; }

    /// <summary>What it does in the model.</summary>
    public required TensorRole Role { get; init; }

    /// <summary>The codec to encode it with, or null: it keeps its bytes.</summary>
    public QuantCodec? Codec { get; init; }

    /// <summary>Why.</summary>
    public required PlanReason Reason { get; init; }

    /// <summary>The codec that the plan's rule has for it; null when it keeps its bytes by the rule.</summary>
    public QuantCodec? Requested { get; init; }

    /// <summary>The rule by which it gets its codec, in words; null when it is simply the one asked for.</summary>
    public string? Rule { get; init; }

    /// <summary>Bytes after the plan was carried out.</summary>
    public long ByteCount => Codec is null ? Source.ByteCount : Codec.GetByteCount(Source.GetWeightCount());

    /// <summary>Bits that one weight takes after the plan was carried out; 0 for a tensor without weights.</summary>
    public double BitsPerWeight => Source.GetWeightCount() is > 0 and long weights ? 8.0 * ByteCount / weights : 0;

    /// <summary>The format after the plan was carried out: <c>q4_k</c>, <c>bf16</c>.</summary>
    public string FormatName => Codec?.Name ?? Source.FormatName;

    /// <summary>The reason in words, for a table or a log.</summary>
    public string Explanation => Reason switch
    {
        PlanReason.Requested => Rule ?? $"{Requested!.Name} as asked for",
        PlanReason.WidthFallback =>
            $"width {Source.Shape[^1]} is no multiple of {Requested!.WeightsPerBlock}: {Codec!.Name} instead of {Requested.Name}",
        PlanReason.Width => $"width {Source.Shape[^1]} is no multiple of {Requested!.WeightsPerBlock}: stays {Source.FormatName}",
        PlanReason.NotAMatrix => $"{Source.Shape.Length} dimensions: no matrix and no stack of experts",
        PlanReason.NotAWeight => "no weight of a product",
        PlanReason.Role => $"{Role} stays {Source.FormatName}",
        PlanReason.Recipe => "never quantized by this recipe",
        PlanReason.Excluded => "excluded",
        PlanReason.NotFloat => $"{Source.FormatName} is not decoded here",
        _ => $"already {Source.FormatName}",
    };
}
