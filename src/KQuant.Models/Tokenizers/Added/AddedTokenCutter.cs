using System.Buffers;

namespace KQuant.Models.Tokenizers;

/// <summary>Which of several added tokens that overlap is taken.</summary>
internal enum OverlapRule
{
    /// <summary>The leftmost, and the longest that begins there: Hugging Face.</summary>
    LeftmostLongest,

    /// <summary>The longest anywhere in the text: llama.cpp.</summary>
    LongestFirst,
}

/// <summary>A token found in a text, with the white space that it takes along.</summary>
internal readonly record struct TokenMatch(int Start, int End, AddedToken Token);

/// <summary>Finds added tokens in a text, in one pass.</summary>
internal sealed class AddedTokenCutter
{
    /// <summary>No real token is longer; a text costs at most so many steps for each of its bytes.</summary>
    public const int MaxTokenBytes = 1024;

    private readonly Dictionary<int, int> _children = [];
    private readonly List<AddedToken?> _ends = [null];
    private readonly SearchValues<byte> _firstBytes;
    private readonly OverlapRule _rule;

    /// <summary>Builds the trie.</summary>
    /// <param name="tokens">The tokens; a text that occurs twice counts once.</param>
    /// <param name="rule">What happens where they overlap.</param>
    public AddedTokenCutter(IEnumerable<AddedToken> tokens, OverlapRule rule)
    {
        _rule = rule;
        var first = new HashSet<byte>();
        foreach (AddedToken token in tokens)
        {
            int node = 0;
            foreach (byte value in token.Content)
            {
                if (!_children.TryGetValue((node << 8) | value, out int child))
                {
                    child = _ends.Count;
                    _ends.Add(null);
                    _children.Add((node << 8) | value, child);
                }

                node = child;
            }

            _ends[node] ??= token;
            first.Add(token.Content[0]);
        }

        _firstBytes = SearchValues.Create([.. first]);
    }

    /// <summary>The tokens of a text, in order and without overlap.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="specials">Whether special tokens count.</param>
    /// <param name="result">Takes the matches; empty before.</param>
    public void Find(ReadOnlySpan<byte> text, bool specials, List<TokenMatch> result)
    {
        if (text.IndexOfAny(_firstBytes) < 0)
        {
            return;
        }

        if (_rule == OverlapRule.LongestFirst)
        {
            FindLongestFirst(text, specials, result);
            return;
        }

        for (int at = 0, found, from = 0; (found = text[at..].IndexOfAny(_firstBytes)) >= 0;)
        {
            at += found;
            if (Longest(text, at) is not { } token)
            {
                at++;
                continue;
            }

            int end = at + token.Content.Length;
            if ((!token.Special || specials) && (!token.SingleWord || IsSingleWord(text, at, end)))
            {
                Add(text, at, end, token, from, result);
                from = result[^1].End;
            }

            at = Math.Max(end, from);
        }
    }

    private static bool IsSingleWord(ReadOnlySpan<byte> text, int start, int end)
    {
        bool before = start > 0 && CharacterClasses.IsWord(ValidUtf8.CodePointAt(text, ValidUtf8.Previous(text, start), out _));
        return !before && !(end < text.Length && CharacterClasses.IsWord(ValidUtf8.CodePointAt(text, end, out _)));
    }

    private static void Add(ReadOnlySpan<byte> text, int start, int end, AddedToken token, int from, List<TokenMatch> result)
    {
        while (token.StripsLeft && start > from
            && (CharacterClasses.At(text, ValidUtf8.Previous(text, start), out _) & CharacterClass.Space) != 0)
        {
            start = ValidUtf8.Previous(text, start);
        }

        while (token.StripsRight && end < text.Length && (CharacterClasses.At(text, end, out int length) & CharacterClass.Space) != 0)
        {
            end += length;
        }

        result.Add(new TokenMatch(start, end, token));
    }

    private AddedToken? Longest(ReadOnlySpan<byte> text, int at)
    {
        AddedToken? longest = null;
        for (int node = 0; at < text.Length && _children.TryGetValue((node << 8) | text[at], out node); at++)
        {
            longest = _ends[node] ?? longest;
        }

        return longest;
    }

    private void FindLongestFirst(ReadOnlySpan<byte> text, bool specials, List<TokenMatch> result)
    {
        var found = new List<TokenMatch>();
        for (int at = 0, next; (next = text[at..].IndexOfAny(_firstBytes)) >= 0; at++)
        {
            at += next;
            for (int node = 0, i = at; i < text.Length && _children.TryGetValue((node << 8) | text[i], out node); i++)
            {
                if (_ends[node] is { } token && (!token.Special || specials))
                {
                    found.Add(new TokenMatch(at, i + 1, token));
                }
            }
        }

        found.Sort((a, b) => (b.End - b.Start).CompareTo(a.End - a.Start) is not 0 and int order ? order : a.Start.CompareTo(b.Start));
        var taken = new System.Collections.BitArray(text.Length);
        found.RemoveAll(match =>
        {
            // What was taken before is at least as long, so it covers one of the ends of what it overlaps.
            if (taken[match.Start] || taken[match.End - 1])
            {
                return true;
            }

            for (int i = match.Start; i < match.End; i++)
            {
                taken[i] = true;
            }

            return false;
        });
        found.Sort((a, b) => a.Start.CompareTo(b.Start));
        foreach (TokenMatch match in found)
        {
            int from = result.Count == 0 ? 0 : result[^1].End;
            if (match.Start >= from)
            {
                Add(text, match.Start, match.End, match.Token, from, result);
            }
        }
    }
}
