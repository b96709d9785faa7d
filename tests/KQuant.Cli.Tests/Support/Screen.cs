using System.Text;

namespace KQuant.Cli.Tests;

/// <summary>What a terminal shows after a text with the few control sequences that are used here.</summary>
internal static class Screen
{
    /// <summary>The rows, without the spaces at their ends; a row may be longer than any terminal is.</summary>
    public static string[] RowsOf(string written)
    {
        var rows = new List<StringBuilder> { new() };
        int column = 0;
        for (int i = 0; i < written.Length; i++)
        {
            StringBuilder row = rows[^1];
            switch (written[i])
            {
                case '\n': rows.Add(new()); column = 0; break;
                case '\r': column = 0; break;
                case '\u001b':
                    int end = i + 2;
                    while (!char.IsLetter(written[end]))
                    {
                        end++;
                    }

                    string number = written[(i + 2)..end];
                    switch (written[end])
                    {
                        case 'K': row.Length = Math.Min(row.Length, column); break;
                        case 'D': column = Math.Max(0, column - int.Parse(number)); break;
                    }

                    i = end;
                    break;
                default:
                    row.Length = Math.Max(row.Length, column);
                    row.Remove(column, Math.Min(1, row.Length - column)).Insert(column++, written[i]);
                    break;
            }
        }

        return [.. rows.Select(row => row.ToString().TrimEnd())];
    }
}
