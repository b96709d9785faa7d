using System.Globalization;

namespace KQuant.Cli.Chat;

/// <summary>A search through earlier lines, from the last one backwards, while its pattern is typed.</summary>
internal sealed class HistorySearch(IReadOnlyList<string> history)
{
    private int _at = history.Count;

    /// <summary>What is searched for.</summary>
    public string Pattern { get; private set; } = "";

    /// <summary>Whether no other line has the pattern; <see cref="Match"/> is the last one that had what was typed before.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>The line that was found; null for none.</summary>
    public string? Match => _at < history.Count ? history[_at] : null;

    /// <summary>Searches for more, from the line that was found.</summary>
    public void Extend(string text)
    {
        Pattern += text;
        Find(_at);
    }

    /// <summary>Searches for less, from the last line.</summary>
    public void Shorten()
    {
        int[] characters = StringInfo.ParseCombiningCharacters(Pattern);
        Pattern = characters.Length == 0 ? "" : Pattern[..characters[^1]];
        _at = history.Count;
        HasFailed = false;
        if (Pattern.Length > 0)
        {
            Find(_at);
        }
    }

    /// <summary>Searches on, for an earlier line.</summary>
    public void Next()
    {
        if (Pattern.Length > 0)
        {
            Find(_at - 1);
        }
    }

    private void Find(int from)
    {
        for (int i = Math.Min(from, history.Count - 1); i >= 0; i--)
        {
            if (history[i].Contains(Pattern, StringComparison.Ordinal))
            {
                (_at, HasFailed) = (i, false);
                return;
            }
        }

        HasFailed = true;
    }
}
