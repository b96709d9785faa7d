using System.Globalization;
using System.Text;
using static System.FormattableString;

namespace KQuant.Cli.Reports;

/// <summary>
/// Draws what a comparison found: bits per weight to the right, divergence upwards, in powers of ten. Models of several folders are several
/// series, each with a colour; names stand at those of the first.
/// </summary>
internal static class ComparisonPicture
{
    private const double Width = 760, Height = 440, Left = 70, Right = 20, Top = 20, Bottom = 50;

    private static readonly string[] Colours = ["#1f5fa8", "#c8501e", "#2a8a4a", "#8a3fa0", "#8a7a1e", "#555555"];

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
        string[] series = [.. report.Models.Select(model => FolderOf(model.Model)).Distinct()];
        var taken = new List<(double X, double Y)>();
        for (int i = 0; i < bits.Length; i++)
        {
            int number = Array.IndexOf(series, FolderOf(report.Models[i].Model));
            (double x, double y) = (X(bits[i]), Y(logs[i]));
            svg.Append(Invariant($"<circle cx=\"{x:0.0}\" cy=\"{y:0.0}\" r=\"{(series.Length > 1 ? 3 : 4)}\" fill=\"{Colours[number % Colours.Length]}\">"));
            svg.Append(Invariant($"<title>{ReportPage.Encode(LabelOf(report.Models[i].Model, series.Length > 1))}</title></circle>\n"));
            if (number == 0 && !taken.Exists(other => Math.Abs(other.X - x) < 75 && Math.Abs(other.Y - y) < 11))
            {
                taken.Add((x, y));
                string name = NameOf(report.Models[i].Model);
                bool isLeft = x < Width - 170;
                svg.Append(Text(isLeft ? x + 7 : x - 7, y - 6, isLeft ? "start" : "end", name.EndsWith(".gguf", StringComparison.Ordinal) ? name[..^5] : name));
            }
        }

        for (int i = 0; series.Length > 1 && i < series.Length; i++)
        {
            svg.Append(Invariant($"<circle cx=\"{Width - Right - 150}\" cy=\"{Top + 12 + (18 * i)}\" r=\"4\" fill=\"{Colours[i % Colours.Length]}\"/>\n"));
            svg.Append(Text(Width - Right - 140, Top + 16 + (18 * i), "start", NameOf(series[i])));
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>An HTML page with table and picture.</summary>
    public static string Page(CompareReport report)
    {
        var page = new ReportPage("Quantizations compared");
        page.AddText(Invariant($"Against {report.Against}, {report.Tokens} tokens of {report.File}."));
        page.AddPicture(Draw(report));
        bool withFolder = report.Models.Select(model => FolderOf(model.Model)).Distinct().Count() > 1;
        page.AddTable(
            ["model", "bytes", "bits/weight", "perplexity", "ratio", "mean KLD", "99.9 % KLD", "same top"],
            report.Models.Select(model => (string[])
            [
                LabelOf(model.Model, withFolder), Invariant($"{model.FileBytes}"), Invariant($"{model.BitsPerWeight:0.00}"), Invariant($"{model.Perplexity:0.0000}"),
                Invariant($"{model.Ratio:0.00000}"), Invariant($"{model.MeanDivergence:0.000000}"), Invariant($"{model.Divergence999:0.0000}"),
                Invariant($"{100 * model.SameTop:0.00} %"),
            ]));
        return page.ToString();
    }

    private static string FolderOf(string path) => Path.GetDirectoryName(Path.GetFullPath(Path.TrimEndingDirectorySeparator(path))) ?? "";

    private static string LabelOf(string path, bool withFolder) => withFolder ? $"{NameOf(path)}, {NameOf(FolderOf(path))}" : NameOf(path);

    private static string NameOf(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(path));

    private static string Line(double x, double y, double toX, double toY) =>
        Invariant($"<line x1=\"{x:0.0}\" y1=\"{y:0.0}\" x2=\"{toX:0.0}\" y2=\"{toY:0.0}\" stroke=\"#ddd\"/>\n");

    private static string Text(double x, double y, string anchor, string text) =>
        Invariant($"<text x=\"{x:0.0}\" y=\"{y:0.0}\" text-anchor=\"{anchor}\">{ReportPage.Encode(text)}</text>\n");
}
