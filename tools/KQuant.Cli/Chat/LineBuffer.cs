using System.Globalization;
using System.Text;

namespace KQuant.Cli.Chat;

/// <summary>A line while it is edited: its text, the cursor, what it was before, and the way through earlier lines. Knows nothing of consoles.</summary>
internal sealed class LineBuffer(IReadOnlyList<string> history, Func<string, IReadOnlyList<string>> complete)
{
    private readonly Stack<(string Text, int Cursor)> _before = new();
    private HistorySearch? _search;
    private bool _isTyping;
    private string _draft = "";
    private int _at = history.Count;

    /// <summary>The text.</summary>
    public string Text { get; private set; } = "";

    /// <summary>Characters before the cursor.</summary>
    public int Cursor { get; private set; }

    /// <summary>What could be completed, when there is more than one possibility.</summary>
    public IReadOnlyList<string> Choices { get; private set; } = [];

    /// <summary>Whether a key is pressed with Control. Both keys together are AltGr, which writes characters.</summary>
    public static bool IsControl(ConsoleKeyInfo key) => Modifier(key) == ConsoleModifiers.Control;

    /// <summary>Whether a key is pressed with Alt.</summary>
    public static bool IsAlt(ConsoleKeyInfo key) => Modifier(key) == ConsoleModifiers.Alt;

    /// <summary>Puts other text in place, with the cursor behind it.</summary>
    public void Set(string text) => (Text, Cursor) = (text, text.Length);

    /// <summary>Text that was typed or pasted.</summary>
    public void Insert(string text)
    {
        if (_search is not null)
        {
            _search.Extend(text);
            Set(_search.Match ?? Text);
            return;
        }

        // A word that is typed is one step back.
        bool isLetter = text.Length == 1 && !char.IsWhiteSpace(text[0]);
        if (!isLetter || !_isTyping)
        {
            _before.Push((Text, Cursor));
        }

        _isTyping = isLetter;
        Text = Text.Insert(Cursor, text);
        Cursor += text.Length;
    }

    /// <summary>What stands before the line: the prompt, or what is searched for.</summary>
    public string GetPrompt(string prompt) =>
        _search is null ? prompt : $"({(_search.HasFailed ? "failing " : "")}reverse-i-search)`{Visible(_search.Pattern)}': ";

    /// <summary>
    /// What of the line is shown on one row: whole characters around the cursor, line breaks and other controls as signs.
    /// </summary>
    /// <param name="width">Cells of the row. Terminals disagree about widths; what may be wide counts as two.</param>
    /// <returns>What is before the cursor and what follows.</returns>
    public (string Before, string After) GetView(int width)
    {
        // Some of what follows stays in sight.
        int kept = Math.Min(Text.Length - Cursor, width / 4);
        int first = Cursor, end = Cursor, free = width - kept;
        while (first > 0 && free - GetCells(Text, PreviousOf(first)) is >= 0 and int left)
        {
            (first, free) = (PreviousOf(first), left);
        }

        free += kept;
        while (end < Text.Length && free - GetCells(Text, end) is >= 0 and int left)
        {
            (end, free) = (NextOf(end), left);
        }

        return (Visible(Text[first..Cursor]), Visible(Text[Cursor..end]));
    }

    /// <summary>Does what a key asks for.</summary>
    public void Press(ConsoleKeyInfo key)
    {
        Choices = [];
        bool control = IsControl(key);
        if (_search is not null && PressInSearch(key))
        {
            return;
        }

        if (IsUndo(key))
        {
            Undo();
            return;
        }

        (string text, int cursor) = (Text, Cursor);
        bool isText = false;
        switch (key.Key)
        {
            case ConsoleKey.R when control: Search(); break;
            case ConsoleKey.LeftArrow: Cursor = control ? WordStart() : PreviousOf(Cursor); break;
            case ConsoleKey.RightArrow: Cursor = control ? WordEnd() : NextOf(Cursor); break;
            case ConsoleKey.Home or ConsoleKey.A when key.Key == ConsoleKey.Home || control: Cursor = 0; break;
            case ConsoleKey.End or ConsoleKey.E when key.Key == ConsoleKey.End || control: Cursor = Text.Length; break;
            case ConsoleKey.Backspace: Remove(PreviousOf(Cursor), Cursor); break;
            case ConsoleKey.Delete: Remove(Cursor, NextOf(Cursor)); break;
            case ConsoleKey.D when control: Remove(Cursor, NextOf(Cursor)); break;
            case ConsoleKey.U when control: Remove(0, Cursor); break;
            case ConsoleKey.K when control: Remove(Cursor, Text.Length); break;
            case ConsoleKey.W when control: Remove(WordStart(), Cursor); break;
            case ConsoleKey.UpArrow: Recall(-1); break;
            case ConsoleKey.DownArrow: Recall(1); break;
            case ConsoleKey.Tab: Complete(); break;
            default:
                isText = !char.IsControl(key.KeyChar) && !IsAlt(key);
                if (isText)
                {
                    Insert(key.KeyChar.ToString());
                }

                break;
        }

        if (!isText)
        {
            _isTyping = false;
            if (Text != text)
            {
                _before.Push((text, cursor));
            }
        }
    }

    /// <summary>Whether a key takes back the last change: Ctrl-_, which terminals send as a character that the framework calls Ctrl-7.</summary>
    private static bool IsUndo(ConsoleKeyInfo key) => key.KeyChar == '\u001f' || (IsControl(key) && key.Key is ConsoleKey.D7 or ConsoleKey.OemMinus);

    private void Undo()
    {
        _isTyping = false;
        if (_before.TryPop(out (string Text, int Cursor) before))
        {
            (Text, Cursor) = before;
        }
    }

    private void Search()
    {
        _before.Push((Text, Cursor));
        _search = new HistorySearch(history);
    }

    /// <summary>What a key does to a search.</summary>
    /// <returns>False when it ends the search, and is then a key like any other.</returns>
    private bool PressInSearch(ConsoleKeyInfo key)
    {
        bool control = IsControl(key);
        switch (key.Key)
        {
            case ConsoleKey.R when control: _search!.Next(); break;
            case ConsoleKey.Backspace: _search!.Shorten(); break;
            case ConsoleKey.Escape:
            case ConsoleKey.G when control:
                _search = null;
                Undo();
                return true;
            default:
                if (char.IsControl(key.KeyChar) || IsAlt(key))
                {
                    _search = null;
                    return false;
                }

                Insert(key.KeyChar.ToString());
                return true;
        }

        Set(_search!.Match ?? Text);
        return true;
    }

    private static ConsoleModifiers Modifier(ConsoleKeyInfo key) => key.Modifiers & (ConsoleModifiers.Control | ConsoleModifiers.Alt);

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
    private int PreviousOf(int cursor)
    {
        int start = 0;
        foreach (int boundary in StringInfo.ParseCombiningCharacters(Text))
        {
            start = boundary < cursor ? boundary : start;
        }

        return start;
    }

    private int NextOf(int cursor) => cursor == Text.Length ? cursor : cursor + StringInfo.GetNextTextElementLength(Text, cursor);

    // From U+1100 on characters may be wide; what is counted too wide only moves the view earlier.
    private static int GetCells(string text, int index) => text[index] < '\u1100' ? 1 : 2;

    private static string Visible(string text)
    {
        if (!text.Any(char.IsControl))
        {
            return text;
        }

        var result = new StringBuilder();
        foreach (char c in text)
        {
            result.Append(c switch { '\n' => '\u23CE', '\t' => ' ', < ' ' => (char)('\u2400' + c), _ => char.IsControl(c) ? '\u2421' : c });
        }

        return result.ToString();
    }

    private int WordEnd()
    {
        int at = Cursor;
        while (at < Text.Length && char.IsWhiteSpace(Text[at]))
        {
            at++;
        }

        while (at < Text.Length && !char.IsWhiteSpace(Text[at]))
        {
            at++;
        }

        return at;
    }

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
