using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using KQuant.Cli.Benchmarks;

namespace KQuant.Cli.Reports;

/// <summary>How results look as JSON: keys in snake_case, as in the configs of models.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NewLine = "\n",
    DefaultIgnoreCondition = JsonIgnoreCondition.Never)]
[JsonSerializable(typeof(CodecReport))]
[JsonSerializable(typeof(CodecsReport))]
[JsonSerializable(typeof(CompareReport))]
[JsonSerializable(typeof(ConversionResult))]
[JsonSerializable(typeof(GatherReport))]
[JsonSerializable(typeof(ImatrixStatsReport))]
[JsonSerializable(typeof(InspectReport))]
[JsonSerializable(typeof(KvCompareReport))]
[JsonSerializable(typeof(KvReport))]
[JsonSerializable(typeof(LimitsReport))]
[JsonSerializable(typeof(LoraReport))]
[JsonSerializable(typeof(MatmulReport))]
[JsonSerializable(typeof(ModelSpeedReport))]
[JsonSerializable(typeof(PerplexityReport))]
[JsonSerializable(typeof(VerifyReport))]
[JsonSerializable(typeof(TensorEncodeReport))]
[JsonSerializable(typeof(TensorDiffReport))]
[JsonSerializable(typeof(string))]
internal sealed partial class ReportJson : JsonSerializerContext
{
    /// <summary>Writes a report.</summary>
    /// <typeparam name="T">The type of the report.</typeparam>
    /// <param name="output">Where it goes.</param>
    /// <param name="report">The report.</param>
    /// <param name="type">Its entry here.</param>
    public static void Write<T>(TextWriter output, T report, JsonTypeInfo<T> type) =>
        output.WriteLine(JsonSerializer.Serialize(report, type));
}
