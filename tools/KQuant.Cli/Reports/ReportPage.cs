using System.Net;
using System.Text;
using KQuant.Cli.Rendering;

namespace KQuant.Cli.Reports;

/// <summary>An HTML page that needs nothing else: no script, no font, no picture from elsewhere.</summary>
internal sealed class ReportPage
{
    private readonly StringBuilder _page = new();

    /// <summary>Begins a page.</summary>
    public ReportPage(string title)
    {
        _page.Append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">");
        _page.Append("<title>").Append(Encode(title)).Append("</title>\n<style>body{font-family:sans-serif;max-width:70em;margin:2em auto;padding:0 1em}");
        _page.Append("table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ddd}");
        _page.Append("td:first-child,th:first-child{text-align:left}.map td,.map th{padding:.2em .5em;font-size:.85em;border:1px solid #fff}");
        _page.Append("</style></head><body>\n<h1>").Append(Encode(title)).Append("</h1>\n");
    }

    /// <summary>Adds a heading.</summary>
    public void AddHeading(string text) => _page.Append("<h2>").Append(Encode(text)).Append("</h2>\n");

    /// <summary>Adds a paragraph.</summary>
    public void AddText(string text) => _page.Append("<p>").Append(Encode(text)).Append("</p>\n");

    /// <summary>Adds a picture that is SVG.</summary>
    public void AddPicture(string svg) => _page.Append(svg);

    /// <summary>Adds a table.</summary>
    public void AddTable(IEnumerable<string> header, IEnumerable<IEnumerable<string>> rows)
    {
        _page.Append("<table><tr>");
        AddCells("th", header);
        foreach (IEnumerable<string> row in rows)
        {
            _page.Append("</tr>\n<tr>");
            AddCells("td", row);
        }

        _page.Append("</tr></table>\n");
    }

    /// <summary>Adds a table of coloured numbers.</summary>
    /// <param name="header">Above the columns; the first is above the names of the rows.</param>
    /// <param name="rows">The name of a row, and for each column a text, what is shown where the pointer rests, and a colour; null for none.</param>
    public void AddMap(IEnumerable<string> header, IEnumerable<(string Name, IEnumerable<(string Text, string Title, string Colour)?> Cells)> rows)
    {
        _page.Append("<table class=\"map\"><tr>");
        AddCells("th", header);
        foreach ((string name, IEnumerable<(string Text, string Title, string Colour)?> cells) in rows)
        {
            _page.Append("</tr>\n<tr><th>").Append(Encode(name)).Append("</th>");
            foreach ((string Text, string Title, string Colour)? cell in cells)
            {
                _page.Append(cell is (string text, string title, string colour)
                    ? $"<td style=\"background:{colour}\" title=\"{Encode(title)}\">{Encode(text)}</td>"
                    : "<td></td>");
            }
        }

        _page.Append("</tr></table>\n");
    }

    /// <summary>The page.</summary>
    public override string ToString() => _page + "</body></html>\n";

    /// <summary>Text as HTML and SVG take it.</summary>
    public static string Encode(string text) => WebUtility.HtmlEncode(PlainText.OneLine(text));

    private void AddCells(string element, IEnumerable<string> cells)
    {
        foreach (string cell in cells)
        {
            _page.Append('<').Append(element).Append('>').Append(Encode(cell)).Append("</").Append(element).Append('>');
        }
    }
}
