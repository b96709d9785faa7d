using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant imatrix stats</c>: llama.cpp's statistics of an importance matrix.</summary>
internal static class ImatrixStatsCommand
{
    internal static Command Create()
    {
        var file = new Argument<string>("file") { Description = "An importance matrix of any form." };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("stats", "Show statistics of an importance matrix by tensor and by layer.") { file, json };
        command.SetWork((parsed, _) =>
        {
            using ImportanceMatrix matrix = ImatrixFiles.Open(parsed.GetValue(file)!);
            IReadOnlyList<ImportanceStatistics> tensors = ImportanceStatistics.Of(matrix);
            LayerStatisticsReport[] layers = [.. tensors.Where(tensor => tensor.Gain is not null).GroupBy(tensor => tensor.Layer).Select(LayerStatisticsReport.Of)];
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                var report = new ImatrixStatsReport(
                    matrix.Path!, matrix.Format.ToString()!, matrix.Datasets, matrix.ChunkCount, matrix.ChunkSize, tensors, layers);
                ReportJson.Write(output, report, ReportJson.Default.ImatrixStatsReport);
            }
            else
            {
                Write(matrix, tensors, layers, output);
            }
        });
        return command;
    }

    private static void Write(
        ImportanceMatrix matrix, IReadOnlyList<ImportanceStatistics> tensors, IEnumerable<LayerStatisticsReport> layers, TextWriter output)
    {
        output.WriteLine(PlainText.OneLine(
            $"{matrix.Path}: {matrix.Entries.Count} entries, {matrix.ChunkCount} chunks of {matrix.ChunkSize} tokens, from {string.Join(", ", matrix.Datasets)}"));
        output.WriteLine();
        var table = new TextTable(
            "tensor", "layer", "inputs", "sum E[x^2]", "mean", "deviation", "skewness", "kurtosis", "entropy", "gain", "L2", "cosine", "Pearson");
        foreach (ImportanceStatistics tensor in tensors)
        {
            table.Add(
                tensor.Name, tensor.Layer < 0 ? "-" : Text(tensor.Layer), Text(tensor.LeastCount), Amounts.Small(tensor.SumOfSquares),
                Amounts.Small(tensor.Mean), Amounts.Small(tensor.Deviation), Amounts.Small(tensor.Skewness), Amounts.Small(tensor.Kurtosis),
                Percent(tensor.Entropy), Amounts.Small(tensor.Gain), Amounts.Small(tensor.Distance), Amounts.Small(tensor.Cosine),
                Amounts.Small(tensor.Correlation));
        }

        table.Write(output);
        output.WriteLine();
        var byLayer = new TextTable("layer", "gain", "L2");
        foreach (LayerStatisticsReport layer in layers)
        {
            byLayer.Add(Text(layer.Layer), Amounts.Small(layer.Gain), Amounts.Small(layer.Distance));
        }

        byLayer.Write(output);

        static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
        static string Percent(double value) => (100 * value).ToString("0.0", CultureInfo.InvariantCulture) + " %";
    }
}
