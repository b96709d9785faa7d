using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs.Conversion;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant tensor diff</c>: how two tensors differ.</summary>
internal static class TensorDiffCommand
{
    internal static Command Create()
    {
        Argument<string> first = TensorFile.Argument("a", "The tensor that errors are relative to:");
        Argument<string> second = TensorFile.Argument("b", "The tensor to compare with it, of the same shape:");
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("diff", "Compare two tensors: their bytes, and the weights they decode to.") { first, second, threads, json };
        command.SetWork((parsed, cancellationToken) =>
        {
            using TensorFile a = TensorFile.Open(parsed.GetValue(first)!), b = TensorFile.Open(parsed.GetValue(second)!);
            TensorDifference difference = TensorComparer.Compare(a.Tensor, b.Tensor, parsed.GetThreads(threads), cancellationToken);
            ErrorReport? error = ErrorReport.Of(difference.Error);
            var report = new TensorDiffReport(
                parsed.GetValue(first)!, parsed.GetValue(second)!, a.Tensor.FormatName, b.Tensor.FormatName, a.Tensor.Shape,
                difference.EqualBytes, difference.DifferingWeights, error?.Rmse, error?.Nmse, error?.Cosine, error?.MaxAbs);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                ReportJson.Write(output, report, ReportJson.Default.TensorDiffReport);
            }
            else
            {
                Write(report, output);
            }
        });
        return command;
    }

    private static void Write(TensorDiffReport report, TextWriter output)
    {
        var table = new TextTable("", "") { TextColumns = 2 };
        table.Add("shape", Amounts.Shape(report.Shape));
        table.Add("formats", $"{report.FormatA} and {report.FormatB}");
        table.Add("equal bytes", report.EqualBytes ? "yes" : "no");
        if (report.DifferingWeights is long differing)
        {
            table.Add("differing weights", differing.ToString(System.Globalization.CultureInfo.InvariantCulture));
            table.Add("max abs", Amounts.Small(report.MaxAbs));
            table.Add("RMSE", Amounts.Small(report.Rmse));
            table.Add("NMSE", Amounts.Small(report.Nmse));
            table.Add("cosine", Amounts.Cosine(report.Cosine));
        }

        table.Write(output);
    }
}
