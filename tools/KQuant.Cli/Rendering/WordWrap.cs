using System.Text;

namespace KQuant.Cli.Rendering;

/// <summary>
/// Text that comes in pieces, on rows that end between words. Nothing is held back: when a word turns out not to fit, what is there of it is
/// taken away and written again on the next row.
/// </summary>
/// <param name="output">The terminal.</param>
/// <param name="width">Cells of a row at the moment; a row ends before the last one, behind which terminals differ.</param>
internal sealed class WordWrap(TextWriter output, Func<int> width)
{
    private const int TabStop = 8;

    private readonly StringBuilder _word = new();
    private int _wordCells;
    private int _column;
    private char? _half;

    /// <summary>What answers are written with: wrapped on a terminal, as they are anywhere else.</summary>
    public static Action<string> For(TextWriter output) => Terminal.IsOutput(output) ? new WordWrap(output, () => Terminal.Width).Write : output.Write;

    /// <summary>Writes the next piece.</summary>
    public void Write(string text)
    {
        foreach (char c in text)
        {
            // Pieces may end inside a character.
            if (char.IsHighSurrogate(c))
            {
                _half = c;
            }
            else if (_half is char high && Rune.TryCreate(high, c, out Rune pair))
            {
                _half = null;
                Write(pair);
            }
            else
            {
                _half = null;
                Write(Rune.TryCreate(c, out Rune rune) ? rune : Rune.ReplacementChar);
            }
        }
    }

    private void Write(Rune rune)
    {
        int end = Math.Max(1, width() - 1);
        if (rune.Value is '\n' or '\r')
        {
            output.Write((char)rune.Value);
            Break();
            return;
        }

        int cells = rune.Value == '\t' ? TabStop - (_column % TabStop) : CellWidth.Of(rune);
        if (Rune.IsWhiteSpace(rune))
        {
            (_wordCells, _) = (0, _word.Clear());
            if (_column + cells > end)
            {
                output.Write('\n');
                Break();
                return;
            }
        }
        else if (_column + cells > end)
        {
            if (_wordCells > 0 && _wordCells < _column && _wordCells + cells <= end)
            {
                output.Write($"\u001b[{_wordCells}D\u001b[K\n{_word}");
                _column = _wordCells;
            }
            else
            {
                output.Write('\n');
                Break();
            }
        }

        output.Write(rune.ToString());
        _column += cells;
        if (cells == 1 && !Rune.IsWhiteSpace(rune))
        {
            _word.Append(rune.ToString());
            _wordCells++;
        }
        else if (cells == 0)
        {
            _word.Append(rune.ToString());
        }
        else
        {
            // Rows may end behind any wide character.
            (_wordCells, _) = (0, _word.Clear());
        }
    }

    private void Break()
    {
        (_column, _wordCells) = (0, 0);
        _word.Clear();
    }
}
