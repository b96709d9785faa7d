using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Where a text without pre-tokenizer can be cut without changing its tokens: in front of a mark, if no token has that mark behind the
/// character that stands there. A merge across the cut would make a token that has both. So a text of any length falls into words.
/// </summary>
internal sealed class SafeCuts
{
    private readonly byte[] _mark;
    private readonly HashSet<int> _neighbours = [];

    /// <summary>Looks at all tokens.</summary>
    /// <param name="tokens">The vocabulary.</param>
    /// <param name="mark">The mark, usually U+2581.</param>
    public SafeCuts(TokenTable tokens, string mark)
    {
        _mark = Encoding.UTF8.GetBytes(mark);
        for (int id = 0; id < tokens.Count; id++)
        {
            ReadOnlySpan<byte> token = tokens[id];
            for (int at = 1, found; at < token.Length && (found = token[at..].IndexOf(_mark)) >= 0; at += found + 1)
            {
                _neighbours.Add(Before(token, at + found));
            }
        }
    }

    /// <summary>The end of the first part; the length of the text if it has no safe cut.</summary>
    /// <param name="text">Valid UTF-8, not empty.</param>
    public int Next(ReadOnlySpan<byte> text)
    {
        for (int at = 1, found; at < text.Length && (found = text[at..].IndexOf(_mark)) >= 0; at += found + 1)
        {
            if (!_neighbours.Contains(Before(text, at + found)))
            {
                return at + found;
            }
        }

        return text.Length;
    }

    private static int Before(ReadOnlySpan<byte> text, int at)
    {
        // Tokens of a foreign file need not be whole code points; one that begins inside of a code point has no neighbour that text can have.
        int start = at - 1;
        while (start > 0 && (text[start] & 0xC0) == 0x80)
        {
            start--;
        }

        return Rune.DecodeFromUtf8(text[start..at], out Rune rune, out _) == System.Buffers.OperationStatus.Done ? rune.Value : -1;
    }
}
