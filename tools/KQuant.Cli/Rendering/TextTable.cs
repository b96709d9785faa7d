using System.Text;

namespace KQuant.Cli.Rendering;

/// <summary>Aligned text, which survives being copied and being piped; on a terminal the headers stand out.</summary>
internal sealed class TextTable(params string[] headers)
{
    private readonly List<string[]> _rows = [];

    /// <summary>Columns, counted from the left, that hold text; all others hold numbers and are aligned to the right.</summary>
    public int TextColumns { get; init; } = 1;

    /// <summary>Adds a row.</summary>
    /// <param name="cells">One per column. Names from files are no commands to the terminal: control characters become blanks.</param>
    public void Add(params string[] cells) => _rows.Add([.. cells.Select(PlainText.OneLine)]);

    /// <summary>Writes the table; without its headers if these are empty.</summary>
    /// <param name="output">The writer of the command.</param>
    public void Write(TextWriter output)
    {
        int[] widths = [.. headers.Select((header, column) => _rows.Select(row => row[column].Length).Append(header.Length).Max())];
        if (headers.Any(header => header.Length > 0))
        {
            string line = Align(headers, widths);
            output.WriteLine(Terminal.ShowsColors(output) ? $"\e[1m{line}\e[0m" : line);
        }

        foreach (string[] row in _rows)
        {
            output.WriteLine(Align(row, widths));
        }
    }

    private string Align(string[] cells, int[] widths)
    {
        var line = new StringBuilder();
        for (int column = 0; column < cells.Length; column++)
        {
            line.Append(column < TextColumns ? cells[column].PadRight(widths[column]) : cells[column].PadLeft(widths[column])).Append("  ");
        }

        return line.ToString().TrimEnd();
    }
}
