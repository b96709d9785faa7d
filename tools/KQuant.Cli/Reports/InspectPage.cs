using System.Globalization;
using System.Text.RegularExpressions;
using KQuant.Cli.Rendering;
using static System.FormattableString;

namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant inspect --html</c> writes: a map of bits, with another model one of errors, and all tensors.</summary>
internal static partial class InspectPage
{
    [GeneratedRegex(@"^(?<before>.*?)(?<![^.])(?<layer>\d{1,6})\.(?<after>.*)$", RegexOptions.CultureInvariant)]
    private static partial Regex InLayer { get; }

    /// <summary>The page.</summary>
    /// <param name="report">The model.</param>
    /// <param name="against">The model that errors are measured by; null for none.</param>
    /// <param name="problems">What does not fit between both.</param>
    public static string Make(InspectReport report, string? against, IReadOnlyList<string> problems)
    {
        var page = new ReportPage(report.Model);
        page.AddText(
            $"{report.Kind}, {report.ModelType ?? "unknown architecture"}, {report.NumHiddenLayers} layers, {report.NumTensors} tensors, {report.NumQuantized} of them quantized, "
            + $"{Amounts.Count(report.Parameters)} weights, {Amounts.Bytes(report.TensorBytes)}, {Amounts.Bits(report.BitsPerWeight)} bits per weight.");
        page.AddTable(
            ["format", "tensors", "weights", "bytes", "bits/weight"],
            report.Formats.Select(format => (string[])
            [
                format.Format, Text(format.Tensors), Amounts.Count(format.Weights), Amounts.Bytes(format.Bytes), Amounts.Bits(format.BitsPerWeight),
            ]));
        page.AddHeading("Bits per weight");
        AddMap(page, report, tensor => tensor.BitsPerWeight is double bits ? (Amounts.Bits(bits), ColourOfBits(bits)) : null);
        if (against is not null)
        {
            page.AddHeading($"Error against {against}");
            page.AddText("Squared differences of the weights over their squares (NMSE).");
            AddMap(page, report, tensor => tensor.Error?.Nmse is double error ? (Amounts.Small(error), ColourOfError(error)) : null);
            foreach (string problem in problems)
            {
                page.AddText(problem);
            }
        }

        page.AddHeading("Tensors");
        string[] errors = against is null ? [] : ["NMSE", "max error"];
        page.AddTable(
            ["tensor", "role", "format", "shape", "bytes", "bits/weight", .. errors],
            report.Tensors.Select(tensor => (string[])
            [
                tensor.Name, tensor.Role, tensor.Codec, Amounts.Shape(tensor.LogicalShape), tensor.Bytes is long bytes ? Amounts.Bytes(bytes) : "?",
                tensor.BitsPerWeight is double bits ? Amounts.Bits(bits) : "?",
                .. against is null ? [] : (string[])[Amounts.Small(tensor.Error?.Nmse), Amounts.Small(tensor.Error?.MaxAbs)],
            ]));
        return page.ToString();
    }

    /// <summary>A row for each layer and one for what is in none, a column for each kind of tensor.</summary>
    private static void AddMap(ReportPage page, InspectReport report, Func<InspectedTensor, (string Text, string Colour)?> show)
    {
        var cells = new Dictionary<(string Row, string Column), (string, string, string)>();
        var rows = new List<string>();
        var columns = new List<string>();
        foreach (InspectedTensor tensor in report.Tensors)
        {
            if (show(tensor) is not (string text, string colour))
            {
                continue;
            }

            // What is in no layer stands in rows of its own, below one another in the first column.
            Match match = InLayer.Match(tensor.Path);
            (string row, string column) = match.Success
                ? ($"{match.Groups["before"].Value}{match.Groups["layer"].Value}", match.Groups["after"].Value)
                : (tensor.Path, "");
            if (!rows.Contains(row))
            {
                rows.Add(row);
            }

            if (!columns.Contains(column))
            {
                columns.Add(column);
            }

            cells[(row, column)] = (text, $"{tensor.Name}: {tensor.Codec}, {Amounts.Shape(tensor.LogicalShape)}", colour);
        }

        page.AddMap(
            ["", .. columns],
            rows.Select(row => (row, columns.Select(column => cells.TryGetValue((row, column), out (string, string, string) cell)
                ? cell
                : ((string, string, string)?)null))));
    }

    /// <summary>From red for two bits over yellow to blue for sixteen, evenly in their logarithm.</summary>
    private static string ColourOfBits(double bits) => Colour(Math.Log2(Math.Clamp(bits, 2, 16) / 2) / 3);

    /// <summary>From blue for 1e-6 to red for 0.1, evenly in their logarithm.</summary>
    private static string ColourOfError(double error) => Colour(-(Math.Log10(Math.Clamp(error, 1e-6, 0.1)) + 1) / 5);

    private static string Colour(double share) => Invariant($"hsl({220 * share:0} 75% 80%)");

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}
