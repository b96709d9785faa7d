using System.Globalization;

namespace KQuant.Cli.Chat;

/// <summary>A line while it is edited: its text, the cursor, and the way through earlier lines. Knows nothing of consoles.</summary>
internal sealed class LineBuffer(IReadOnlyList<string> history, Func<string, IReadOnlyList<string>> complete)
{
    private string _draft = "";
    private int _at = history.Count;

    /// <summary>The text.</summary>
    public string Text { get; private set; } = "";

    /// <summary>Characters before the cursor.</summary>
    public int Cursor { get; private set; }

    /// <summary>What could be completed, when there is more than one possibility.</summary>
    public IReadOnlyList<string> Choices { get; private set; } = [];

    /// <summary>Puts other text in place, with the cursor behind it.</summary>
    public void Set(string text) => (Text, Cursor) = (text, text.Length);

    public void Insert(string text)
    {
        Text = Text.Insert(Cursor, text);
        Cursor += text.Length;
    }

    /// <summary>Does what a key asks for.</summary>
    public void Press(ConsoleKeyInfo key)
    {
        Choices = [];
        bool control = key.Modifiers.HasFlag(ConsoleModifiers.Control);
        switch (key.Key)
        {
            case ConsoleKey.LeftArrow: Cursor = Previous(); break;
            case ConsoleKey.RightArrow: Cursor = Next(); break;
            case ConsoleKey.Home or ConsoleKey.A when key.Key == ConsoleKey.Home || control: Cursor = 0; break;
            case ConsoleKey.End or ConsoleKey.E when key.Key == ConsoleKey.End || control: Cursor = Text.Length; break;
            case ConsoleKey.Backspace: Remove(Previous(), Cursor); break;
            case ConsoleKey.Delete: Remove(Cursor, Next()); break;
            case ConsoleKey.U when control: Remove(0, Cursor); break;
            case ConsoleKey.K when control: Remove(Cursor, Text.Length); break;
            case ConsoleKey.W when control: Remove(WordStart(), Cursor); break;
            case ConsoleKey.UpArrow: Recall(-1); break;
            case ConsoleKey.DownArrow: Recall(1); break;
            case ConsoleKey.Tab: Complete(); break;
            default:
                if (!char.IsControl(key.KeyChar))
                {
                    Insert(key.KeyChar.ToString());
                }

                break;
        }
    }

    private void Remove(int from, int to)
    {
        Text = Text.Remove(from, to - from);
        Cursor = from;
    }

    private void Recall(int step)
    {
        int at = _at + step;
        if (at < 0 || at > history.Count)
        {
            return;
        }

        if (_at == history.Count)
        {
            _draft = Text;
        }

        _at = at;
        Set(at == history.Count ? _draft : history[at]);
    }

    private void Complete()
    {
        IReadOnlyList<string> found = Cursor == Text.Length ? complete(Text) : [];
        if (found.Count == 0)
        {
            return;
        }

        string common = found[0];
        foreach (string other in found)
        {
            int length = 0;
            while (length < common.Length && length < other.Length && common[length] == other[length])
            {
                length++;
            }

            common = common[..length];
        }

        if (common.Length > Text.Length)
        {
            Set(common);
        }
        else if (found.Count > 1)
        {
            Choices = found;
        }
    }

    // Cursors stand between what people see as characters.
    private int Previous()
    {
        int start = 0;
        foreach (int boundary in StringInfo.ParseCombiningCharacters(Text))
        {
            start = boundary < Cursor ? boundary : start;
        }

        return start;
    }

    private int Next() => Cursor == Text.Length ? Cursor : Cursor + StringInfo.GetNextTextElementLength(Text, Cursor);

    private int WordStart()
    {
        int at = Cursor;
        while (at > 0 && char.IsWhiteSpace(Text[at - 1]))
        {
            at--;
        }

        while (at > 0 && !char.IsWhiteSpace(Text[at - 1]))
        {
            at--;
        }

        return at;
    }
}
