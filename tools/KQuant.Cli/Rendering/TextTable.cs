using System.Text;
using Spectre.Console;

namespace KQuant.Cli.Rendering;

/// <summary>A table that looks like one on a terminal and is plain aligned text everywhere else.</summary>
internal sealed class TextTable(params string[] headers)
{
    private readonly List<string[]> _rows = [];

    /// <summary>Columns, counted from the left, that hold text; all others hold numbers and are aligned to the right.</summary>
    public int TextColumns { get; init; } = 1;

    public void Add(params string[] cells) => _rows.Add(cells);

    /// <summary>Writes the table.</summary>
    /// <param name="output">The writer of the command; drawn when it is the console and a person looks at it.</param>
    public void Write(TextWriter output)
    {
        if (ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected)
        {
            AnsiConsole.Write(Draw());
        }
        else
        {
            WritePlain(output);
        }
    }

    private Table Draw()
    {
        var table = new Table { Border = TableBorder.Rounded };
        for (int column = 0; column < headers.Length; column++)
        {
            var header = new TableColumn(Markup.Escape(headers[column]));
            table.AddColumn(column < TextColumns ? header : header.RightAligned());
        }

        foreach (string[] row in _rows)
        {
            table.AddRow([.. row.Select(cell => new Text(cell))]);
        }

        return table;
    }

    private void WritePlain(TextWriter output)
    {
        int[] widths = [.. headers.Select((header, column) => _rows.Select(row => row[column].Length).Append(header.Length).Max())];
        var line = new StringBuilder();
        foreach (string[] row in _rows.Prepend(headers))
        {
            line.Clear();
            for (int column = 0; column < row.Length; column++)
            {
                line.Append(column < TextColumns ? row[column].PadRight(widths[column]) : row[column].PadLeft(widths[column])).Append("  ");
            }

            output.WriteLine(line.ToString().TrimEnd());
        }
    }
}
