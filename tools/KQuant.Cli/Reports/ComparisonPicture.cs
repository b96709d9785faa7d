using System.Globalization;
using System.Net;
using System.Text;
using KQuant.Cli.Rendering;
using static System.FormattableString;

namespace KQuant.Cli.Reports;

/// <summary>Draws what a comparison found: bits per weight to the right, divergence upwards, in powers of ten.</summary>
internal static class ComparisonPicture
{
    private const double Width = 760, Height = 440, Left = 70, Right = 20, Top = 20, Bottom = 50;

    /// <summary>An SVG that stands alone.</summary>
    public static string Draw(CompareReport report)
    {
        double[] bits = [.. report.Models.Select(model => model.BitsPerWeight)];
        double[] logs = [.. report.Models.Select(model => Math.Log10(Math.Max(1e-9, model.MeanDivergence)))];
        (double fromX, double toX) = (Math.Floor(bits.Min()), Math.Floor(bits.Max()) + 1);
        (double fromY, double toY) = (Math.Floor(logs.Min()), Math.Floor(logs.Max()) + 1);
        double X(double value) => Left + ((value - fromX) / (toX - fromX) * (Width - Left - Right));
        double Y(double value) => Height - Bottom - ((value - fromY) / (toY - fromY) * (Height - Top - Bottom));

        var svg = new StringBuilder();
        svg.Append(Invariant($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">\n"));
        svg.Append(Invariant($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>\n"));
        for (double power = fromY; power <= toY; power++)
        {
            svg.Append(Line(Left, Y(power), Width - Right, Y(power)));
            svg.Append(Text(Left - 8, Y(power) + 4, "end", (Math.Pow(10, power)).ToString("0.#########", CultureInfo.InvariantCulture)));
        }

        int step = Math.Max(1, (int)((toX - fromX) / 12));
        for (double value = fromX; value <= toX; value += step)
        {
            svg.Append(Line(X(value), Top, X(value), Height - Bottom));
            svg.Append(Text(X(value), Height - Bottom + 18, "middle", value.ToString(CultureInfo.InvariantCulture)));
        }

        svg.Append(Text(Left + ((Width - Left - Right) / 2), Height - 12, "middle", "bits per weight"));
        svg.Append(Text(Left, Top - 6, "start", "mean divergence, nats per token"));
        for (int i = 0; i < bits.Length; i++)
        {
            svg.Append(Invariant($"<circle cx=\"{X(bits[i]):0.0}\" cy=\"{Y(logs[i]):0.0}\" r=\"4\" fill=\"#1f5fa8\"/>\n"));
            svg.Append(Text(X(bits[i]) + 7, Y(logs[i]) - 6, "start", NameOf(report.Models[i].Model)));
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>An HTML page with table and picture.</summary>
    public static string Page(CompareReport report)
    {
        var page = new StringBuilder();
        page.Append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>KQuant comparison</title>\n<style>body{font-family:sans-serif;max-width:60em;margin:2em auto}");
        page.Append("table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}</style></head><body>\n");
        page.Append(Invariant($"<p>Against {Encode(report.Against)}, {report.Tokens} tokens of {Encode(report.File)}.</p>\n"));
        page.Append(Draw(report));
        page.Append("<table><tr><th>model</th><th>bytes</th><th>bits/weight</th><th>perplexity</th><th>mean KLD</th><th>99.9 % KLD</th><th>same top</th></tr>\n");
        foreach (ComparedModelReport model in report.Models)
        {
            page.Append(Invariant($"<tr><td>{Encode(NameOf(model.Model))}</td><td>{model.FileBytes}</td><td>{model.BitsPerWeight:0.00}</td><td>{model.Perplexity:0.0000}</td>"));
            page.Append(Invariant($"<td>{model.MeanDivergence:0.000000}</td><td>{model.Divergence999:0.0000}</td><td>{100 * model.SameTop:0.00} %</td></tr>\n"));
        }

        return page.Append("</table></body></html>\n").ToString();
    }

    private static string NameOf(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(path));

    private static string Encode(string text) => WebUtility.HtmlEncode(PlainText.OneLine(text));

    private static string Line(double x, double y, double toX, double toY) =>
        Invariant($"<line x1=\"{x:0.0}\" y1=\"{y:0.0}\" x2=\"{toX:0.0}\" y2=\"{toY:0.0}\" stroke=\"#ddd\"/>\n");

    private static string Text(double x, double y, string anchor, string text) =>
        Invariant($"<text x=\"{x:0.0}\" y=\"{y:0.0}\" text-anchor=\"{anchor}\">{Encode(text)}</text>\n");
}
