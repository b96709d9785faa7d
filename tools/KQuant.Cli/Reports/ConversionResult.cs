using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant quantize --json</c> and <c>kquant dequantize --json</c> print.</summary>
internal sealed record ConversionResult(
    string Model,
    string Output,
    string Format,
    string Codec,
    bool DryRun,
    long Weights,
    long SourceBytes,
    long Bytes,
    double BitsPerWeight,
    ImportanceReport? Importance,
    IReadOnlyList<FormatReport> Formats,
    IReadOnlyList<ConvertedTensorReport> Tensors,
    IReadOnlyList<string> Notes)
{
    public static ConversionResult Of(ModelSource source, ConversionReport report, string codec, ImportanceMap? importance, bool dryRun) => new(
        source.Path,
        report.Output,
        source is GgufSource ? "gguf" : "mlx",
        codec,
        dryRun,
        report.WeightCount,
        report.SourceBytes,
        report.Bytes,
        report.WeightCount == 0 ? 0 : 8.0 * report.Bytes / report.WeightCount,
        ImportanceReport.Of(importance),
        [.. report.Summarize().Select(FormatReport.Of)],
        [.. report.Tensors.Select(ConvertedTensorReport.Of)],
        report.Notes);
}

/// <summary>How an importance matrix fits the model.</summary>
internal sealed record ImportanceReport(string File, int Entries, int Weights, int CoveredWeights, IReadOnlyList<string> Missing, int UnusedEntries)
{
    public static ImportanceReport? Of(ImportanceMap? map) => map is null ? null : new ImportanceReport(
        map.Matrix.Path ?? "", map.Matrix.Entries.Count, map.Count + map.Missing.Count, map.Count, map.Missing, map.Unused.Count);
}

/// <summary>All tensors that are stored in one format afterwards.</summary>
internal sealed record FormatReport(
    string Format, int Tensors, long Weights, long SourceBytes, long Bytes, double BitsPerWeight, ErrorReport? Error)
{
    public static FormatReport Of(FormatSummary summary) => new(
        summary.FormatName, summary.TensorCount, summary.WeightCount, summary.SourceBytes, summary.Bytes, summary.BitsPerWeight,
        ErrorReport.Of(summary.Error));
}

/// <summary>One tensor.</summary>
internal sealed record ConvertedTensorReport(
    string Name, string Role, IReadOnlyList<long> Shape, string SourceFormat, string Format, long SourceBytes, long Bytes, double BitsPerWeight, string Reason,
    string Explanation, ErrorReport? Error)
{
    public static ConvertedTensorReport Of(ConvertedTensor tensor)
    {
        PlannedTensor planned = tensor.Planned;
        return new ConvertedTensorReport(
            planned.Source.Name, planned.Role.ToString(), planned.Source.Shape, planned.Source.FormatName, planned.FormatName,
            planned.Source.ByteCount, planned.ByteCount, planned.BitsPerWeight, planned.Reason.ToString(), planned.Explanation, ErrorReport.Of(tensor.Error));
    }
}
