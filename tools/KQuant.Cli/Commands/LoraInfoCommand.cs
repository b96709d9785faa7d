using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Models;
using KQuant.Models.Adapters;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant lora info</c>: what an adapter changes, and who can load it.</summary>
internal static class LoraInfoCommand
{
    internal static Command Create()
    {
        Argument<string> path = LoraCommand.Adapter();
        Option<string> model = LoraCommand.Model("A model to check it against: a checkpoint folder, or a GGUF file.");
        Option<bool> json = CommonOptions.Json();
        var command = new Command("info", "Show format, ranks and keys of a LoRA adapter, and which readers accept it.") { path, model, json };
        command.SetWork((parsed, cancellationToken) =>
        {
            var adapter = LoraAdapter.Load(ModelPath.Resolve(parsed.GetValue(path)!));
            using LanguageModel? loaded = parsed.GetValue(model) is { } given
                ? LanguageModel.Load(ModelPath.Resolve(given), new ModelOptions { LoadTokenizer = false }, cancellationToken: cancellationToken)
                : null;
            LoraReport report = Describe(adapter, loaded);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.LoraReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static LoraReport Describe(LoraAdapter adapter, LanguageModel? model)
    {
        LoraLayerReport[] layers =
        [
            .. adapter.Weights.GroupBy(weight => AdapterNames.LayerOf(weight.Name)).OrderBy(group => group.Key).Select(group => new LoraLayerReport(
                group.Key,
                [.. group.Select(weight => AdapterNames.InBlock(AdapterNames.ModuleOf(weight.Name)))],
                [.. group.Select(weight => weight.Rank).Distinct().Order()],
                group.Sum(weight => weight.Parameters))),
        ];
        return new LoraReport(
            adapter.Path,
            LoraCommand.NameOf(adapter.Format),
            adapter.BaseModel,
            adapter.Architecture,
            adapter.Parameters,
            adapter.Weights.Any(weight => weight.IsDora),
            [.. adapter.Weights.Select(weight => weight.Scale).Distinct().Order()],
            [.. layers.SelectMany(layer => layer.Keys).Distinct()],
            layers,
            [
                .. adapter.Weights.Select(weight => new LoraWeightReport(
                    weight.Name, weight.Rank, weight.Scale, weight.Matrices, weight.Outputs, weight.Inputs, weight.Codec.Name, weight.IsDora)),
            ],
            [.. adapter.GetReaders(model?.Config).Select(Reader), .. model is null ? [] : (LoraReaderReport[])[Fit(adapter, model)]]);

        static LoraReaderReport Reader(AdapterReader reader) => new(LoraCommand.NameOf(reader.Format), reader.Reason is null, reader.Reason);
    }

    /// <summary>Whether the adapter is for the model.</summary>
    private static LoraReaderReport Fit(LoraAdapter adapter, LanguageModel model)
    {
        string? reason = model.FindMisfit(adapter);
        return new LoraReaderReport(model.Path, reason is null, reason);
    }

    private static void Write(LoraReport report, TextWriter output)
    {
        output.WriteLine(PlainText.OneLine(
            $"{report.Path}: {report.Format}{(report.IsDora ? " with DoRA" : "")}, {Text(report.Weights.Count)} weights, {Text(report.Parameters)} parameters, "
            + $"{(report.Scales.Count == 1 ? "scale" : "scales")} {string.Join(", ", report.Scales.Select(scale => scale.ToString("R", CultureInfo.InvariantCulture)))}"
            + $"{(report.BaseModel is { Length: > 0 } model ? $", for {model}" : "")}{(report.Architecture is { } name ? $", architecture {name}" : "")}"));
        output.WriteLine();
        var table = new TextTable("layer", "ranks", "keys", "parameters") { TextColumns = 3 };
        foreach (LoraLayerReport layer in report.Layers)
        {
            table.Add(
                layer.Layer < 0 ? "-" : Text(layer.Layer), string.Join(", ", layer.Ranks.Select(rank => Text(rank))), string.Join(", ", layer.Keys), Text(layer.Parameters));
        }

        table.Write(output);
        output.WriteLine();
        foreach (LoraReaderReport reader in report.Readers)
        {
            output.WriteLine(PlainText.OneLine($"{reader.Reader}: {reader.Reason ?? "yes"}"));
        }

        static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
    }
}
