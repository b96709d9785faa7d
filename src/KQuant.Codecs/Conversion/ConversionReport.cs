using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>What became of one tensor.</summary>
public sealed record ConvertedTensor
{
    /// <summary>What the plan said.</summary>
    public required PlannedTensor Planned { get; init; }

    /// <summary>How far the new weights are from those of the source; null when they were copied or not measured.</summary>
    public WeightError? Error { get; init; }
}

/// <summary>What became of all tensors that are stored in one format now.</summary>
public sealed record FormatSummary
{
    /// <summary>The format after the conversion: <c>q4_k</c>, <c>bf16</c>.</summary>
    public required string FormatName { get; init; }

    /// <summary>The number of tensors.</summary>
    public required int TensorCount { get; init; }

    /// <summary>Their weights.</summary>
    public required long WeightCount { get; init; }

    /// <summary>Their bytes before.</summary>
    public required long SourceBytes { get; init; }

    /// <summary>Their bytes now.</summary>
    public required long Bytes { get; init; }

    /// <summary>Their error together; null when none of them was encoded, or it was not measured.</summary>
    public WeightError? Error { get; init; }

    /// <summary>Bits that one weight takes now.</summary>
    public double BitsPerWeight => WeightCount == 0 ? 0 : 8.0 * Bytes / WeightCount;
}

/// <summary>What a conversion did.</summary>
public sealed record ConversionReport
{
    /// <summary>The folder or file that was written.</summary>
    public required string Output { get; init; }

    /// <summary>All tensors, in the order of the source.</summary>
    public required IReadOnlyList<ConvertedTensor> Tensors { get; init; }

    /// <summary>What a user should know: files that were left out, tensors that are not part of the model. One sentence each.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    /// <summary>Whether nothing was written because a part was there already, complete and of the same source, plan and options.</summary>
    public bool WasThere { get; init; }

    /// <summary>Bytes of all tensors before.</summary>
    public long SourceBytes => Tensors.Sum(tensor => tensor.Planned.Source.ByteCount);

    /// <summary>Bytes of all tensors now.</summary>
    public long Bytes => Tensors.Sum(tensor => tensor.Planned.ByteCount);

    /// <summary>Weights of all tensors.</summary>
    public long WeightCount => Tensors.Sum(tensor => tensor.Planned.Source.GetWeightCount());

    /// <summary>Sums by format, the one with the most bytes first.</summary>
    /// <returns>One summary for each format that occurs.</returns>
    public IReadOnlyList<FormatSummary> Summarize() =>
    [
        .. Tensors
            .GroupBy(tensor => tensor.Planned.FormatName)
            .Select(group => new FormatSummary
            {
                FormatName = group.Key,
                TensorCount = group.Count(),
                WeightCount = group.Sum(tensor => tensor.Planned.Source.GetWeightCount()),
                SourceBytes = group.Sum(tensor => tensor.Planned.Source.ByteCount),
                Bytes = group.Sum(tensor => tensor.Planned.ByteCount),
                Error = group.Aggregate((WeightError?)null, (sum, tensor) => tensor.Error is WeightError error ? (sum ?? default) + error : sum),
            })
            .OrderByDescending(summary => summary.Bytes)
            .ThenBy(summary => summary.FormatName, StringComparer.Ordinal),
    ];
}
