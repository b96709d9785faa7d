using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Conversion;

/// <summary>What became of one tensor.</summary>
/// <param name="Planned">What the plan said.</param>
/// <param name="Error">How far the new weights are from those of the source; null when they were copied or not measured.</param>
public sealed record ConvertedTensor(PlannedTensor Planned, WeightError? Error);

/// <summary>What became of all tensors that are stored in one format now.</summary>
/// <param name="FormatName">The format after the conversion: <c>q4_k</c>, <c>bf16</c>.</param>
/// <param name="TensorCount">The number of tensors.</param>
/// <param name="WeightCount">Their weights.</param>
/// <param name="SourceBytes">Their bytes before.</param>
/// <param name="Bytes">Their bytes now.</param>
/// <param name="Error">Their error together; null when none of them was encoded, or it was not measured.</param>
public sealed record FormatSummary(
    string FormatName, int TensorCount, long WeightCount, long SourceBytes, long Bytes, WeightError? Error)
{
    /// <summary>Bits that one weight takes now.</summary>
    public double BitsPerWeight => WeightCount == 0 ? 0 : 8.0 * Bytes / WeightCount;
}

/// <summary>What a conversion did.</summary>
/// <param name="Output">The folder or file that was written.</param>
/// <param name="Tensors">All tensors, in the order of the source.</param>
/// <param name="Notes">What a user should know: files that were left out, tensors that are not part of the model. One sentence each.</param>
public sealed record ConversionReport(string Output, IReadOnlyList<ConvertedTensor> Tensors, IReadOnlyList<string> Notes)
{
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
            .Select(group => new FormatSummary(
                group.Key,
                group.Count(),
                group.Sum(tensor => tensor.Planned.Source.GetWeightCount()),
                group.Sum(tensor => tensor.Planned.Source.ByteCount),
                group.Sum(tensor => tensor.Planned.ByteCount),
                group.Aggregate((WeightError?)null, (sum, tensor) => tensor.Error is WeightError error ? (sum ?? default) + error : sum)))
            .OrderByDescending(summary => summary.Bytes)
            .ThenBy(summary => summary.FormatName, StringComparer.Ordinal),
    ];
}
