using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using static System.FormattableString;

namespace KQuant.Cli.Commands;

/// <summary>Runs a conversion and shows what became of the tensors.</summary>
internal static class ConversionOutput
{
    public static void Run(
        ParseResult parsed,
        ModelSource source,
        QuantizationPlan plan,
        string target,
        ConversionOptions options,
        bool dryRun,
        bool json,
        CancellationToken cancellationToken,
        JobShard? shard = null,
        bool assemble = false)
    {
        TextWriter output = parsed.InvocationConfiguration.Output, error = parsed.InvocationConfiguration.Error;
        ModelConverter.CheckOutput(source, target);
        if (!dryRun && !options.Overwrite && shard is null)
        {
            CheckFree(target);
        }

        long start = Stopwatch.GetTimestamp();
        ConversionReport report = dryRun
            ? new ConversionReport
            {
                Output = target,
                Tensors = [.. plan.Tensors.Select(tensor => new ConvertedTensor { Planned = tensor, Error = null })],
                Notes = (source as GgufSource)?.Notes ?? [],
            }
            : ProgressBar.Show(
                error, json, progress =>
                    shard is not null ? ConvertPart(plan, target, shard, options, progress, cancellationToken)
                    : assemble ? ModelConverter.Assemble(plan, target, options, progress, cancellationToken)
                    : ModelConverter.Convert(plan, target, options, progress, cancellationToken));
        if (json)
        {
            var result = ConversionResult.Of(source, report, plan.Codec.Name, options.Importance, dryRun);
            ReportJson.Write(output, result, ReportJson.Default.ConversionResult);
            return;
        }

        if (dryRun)
        {
            WritePlan(plan, output);
            output.WriteLine();
        }

        WriteSummary(report, output);
        WriteNotes(report, options, output);
        output.WriteLine(dryRun
            ? $"Nothing was written to {target}."
            : report.WasThere ? $"{report.Output} was there already, complete and of the same model, codecs and options."
            : Invariant($"Wrote {report.Output} in {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s.")
                + (shard is null ? "" : Invariant($" Part {shard}: {report.Tensors.Count} of {plan.Tensors.Count} tensors."))
                + (assemble ? Invariant($" {target}.parts is no longer needed.") : ""));
    }

    /// <summary>The same refusal of a part that is there as the library's, but with the way out.</summary>
    private static ConversionReport ConvertPart(
        QuantizationPlan plan,
        string target,
        JobShard shard,
        ConversionOptions options,
        IProgress<ModelProgress>? progress,
        CancellationToken cancellationToken)
    {
        try
        {
            return ModelConverter.ConvertPart(plan, target, shard, options, progress, cancellationToken);
        }
        catch (ModelFormatException exception) when (Path.GetDirectoryName(exception.Path) == target + ".parts")
        {
            throw new CommandException($"{exception.Message.TrimEnd('.')}; --overwrite encodes it again.");
        }
    }

    /// <summary>The same refusal as the library's, but with the way out.</summary>
    private static void CheckFree(string target)
    {
        if (File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()))
        {
            throw new CommandException($"{target} exists; --overwrite replaces it.");
        }
    }

    private static void WritePlan(QuantizationPlan plan, TextWriter output)
    {
        var table = new TextTable("tensor", "role", "shape", "from", "to", "why", "before", "after", "bits/weight") { TextColumns = 6 };
        foreach (PlannedTensor tensor in plan.Tensors)
        {
            table.Add(
                tensor.Source.Name,
                tensor.Role.ToString(),
                Amounts.Shape(tensor.Source.Shape),
                tensor.Source.FormatName,
                tensor.FormatName,
                tensor.Explanation,
                Amounts.Bytes(tensor.Source.ByteCount),
                Amounts.Bytes(tensor.ByteCount),
                Amounts.Bits(tensor.BitsPerWeight));
        }

        table.Write(output);
    }

    private static void WriteSummary(ConversionReport report, TextWriter output)
    {
        var table = new TextTable("format", "tensors", "before", "after", "bits/weight", "RMSE", "NMSE", "cosine", "max error");
        foreach (FormatSummary summary in report.Summarize())
        {
            Add(summary.FormatName, summary.TensorCount, summary.WeightCount, summary.SourceBytes, summary.Bytes, summary.Error);
        }

        Add("all", report.Tensors.Count, report.WeightCount, report.SourceBytes, report.Bytes, null);
        table.Write(output);

        void Add(string name, int tensors, long weights, long before, long after, WeightError? error) => table.Add(
            name,
            tensors.ToString(CultureInfo.InvariantCulture),
            Amounts.Bytes(before),
            Amounts.Bytes(after),
            Amounts.Bits(weights == 0 ? 0 : 8.0 * after / weights),
            Amounts.Small(error?.Rmse),
            Amounts.Small(error?.Nmse),
            Amounts.Cosine(error?.Cosine),
            Amounts.Small(error?.MaxAbsolute));
    }

    private static void WriteNotes(ConversionReport report, ConversionOptions options, TextWriter output)
    {
        foreach (var group in report.Tensors.Select(tensor => tensor.Planned).Where(tensor => tensor.Reason == PlanReason.WidthFallback).GroupBy(tensor => tensor.Explanation))
        {
            output.WriteLine($"{group.Count()} {(group.Count() == 1 ? "tensor" : "tensors")}: {group.Key}.");
        }

        if (options.Importance is ImportanceMap map)
        {
            output.WriteLine(
                $"Importance for {map.Count} of {map.Count + map.Missing.Count} weights"
                + (map.Missing.Count > 0 ? $", none for {Names(map.Missing)}" : "")
                + (map.Unused.Count > 0 ? $"; {map.Unused.Count} entries are not used, {Names(map.Unused)}" : "") + ".");
        }

        foreach (string note in report.Notes)
        {
            output.WriteLine(PlainText.OneLine(note));
        }
    }

    private static string Names(IReadOnlyList<string> names)
    {
        const int Shown = 3;
        return string.Join(", ", names.Take(Shown)) + (names.Count > Shown ? $" and {names.Count - Shown} more" : "");
    }
}
