namespace KQuant.Models.Tokenizers;

/// <summary>A regular expression as a hand-written scanner: each match is a piece, and so is what lies between two matches.</summary>
internal abstract class Scanner : PreTokenizer
{
    public override void Split(ReadOnlySpan<byte> piece, PieceSink next)
    {
        int start = 0;
        for (int at = 0; at < piece.Length;)
        {
            int end = Match(piece, at);
            if (end == 0)
            {
                at += ValidUtf8.LengthFrom(piece[at]);
                continue;
            }

            next.Accept(piece[start..at]);
            next.Accept(piece[at..end]);
            start = at = end;
        }

        next.Accept(piece[start..]);
    }

    /// <summary>The end of the match that begins at an index, or 0 if none does.</summary>
    internal abstract int Match(ReadOnlySpan<byte> text, int at);
}

/// <summary><c>\p{N}{1,max}</c>.</summary>
internal sealed class NumberScanner(int max) : Scanner
{
    internal override int Match(ReadOnlySpan<byte> text, int at)
    {
        int start = at;
        for (int left = max; left > 0 && at < text.Length; left--)
        {
            if ((CharacterClasses.At(text, at, out int length) & CharacterClass.Number) == 0)
            {
                break;
            }

            at += length;
        }

        return at > start ? at : 0;
    }
}

/// <summary>One or more characters of a few ranges, such as those of Chinese and Japanese.</summary>
internal sealed class RangeScanner((int First, int Last)[] ranges, int max) : Scanner
{
    internal override int Match(ReadOnlySpan<byte> text, int at)
    {
        int start = at;
        for (int left = max; left > 0 && at < text.Length; left--)
        {
            int point = ValidUtf8.CodePointAt(text, at, out int length);
            if (!IsListed(point))
            {
                break;
            }

            at += length;
        }

        return at > start ? at : 0;
    }

    private bool IsListed(int point)
    {
        foreach ((int first, int last) in ranges)
        {
            if (point >= first && point <= last)
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>
/// The words of DeepSeek V3, with <c>P</c> for ASCII punctuation:
/// <c>P[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>.
/// </summary>
internal sealed class DeepSeekScanner : Scanner
{
    private const CharacterClass Word = CharacterClass.Letter | CharacterClass.Mark;
    private const CharacterClass Sign = CharacterClass.Punctuation | CharacterClass.Symbol;

    internal override int Match(ReadOnlySpan<byte> text, int at)
    {
        CharacterClass first = CharacterClasses.At(text, at, out int length);
        int behind = at + length;
        if (text[at] < 0x80 && (first & Sign) != 0 && behind < text.Length && char.IsAsciiLetter((char)text[behind]))
        {
            int letters = text[behind..].IndexOfAnyExcept(AsciiLetters);
            return letters < 0 ? text.Length : behind + letters;
        }

        CharacterClass second = behind < text.Length ? CharacterClasses.At(text, behind, out _) : CharacterClass.None;
        bool mayLead = (first & (CharacterClass.Letter | Sign)) == 0 && text[at] is not ((byte)'\r' or (byte)'\n');
        if ((first & Word) != 0 || (mayLead && (second & Word) != 0))
        {
            return Run(text, behind, Word);
        }

        if ((first & Sign) != 0 || (text[at] == ' ' && (second & Sign) != 0))
        {
            int end = Run(text, behind, Sign);
            while (end < text.Length && text[end] is (byte)'\r' or (byte)'\n')
            {
                end++;
            }

            return end;
        }

        return (first & CharacterClass.Space) != 0 ? WhiteSpace.End(text, at, newlinesEnd: true) : 0;
    }

    private static readonly System.Buffers.SearchValues<byte> AsciiLetters =
        System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    private static int Run(ReadOnlySpan<byte> text, int at, CharacterClass classes)
    {
        while (at < text.Length && (CharacterClasses.At(text, at, out int length) & classes) != 0)
        {
            at += length;
        }

        return at;
    }
}

/// <summary>The white space of all families: <c>\s*[\r\n]+|\s+(?!\S)|\s+</c>, or without its first part.</summary>
internal static class WhiteSpace
{
    /// <summary>
    /// The end of the piece that begins with white space: behind the last line break, or else before the last character of the run, which
    /// belongs to the word behind it, unless that leaves nothing.
    /// </summary>
    public static int End(ReadOnlySpan<byte> text, int start, bool newlinesEnd)
    {
        int end = start, last = start, newline = -1;
        while (end < text.Length && (CharacterClasses.At(text, end, out int length) & CharacterClass.Space) != 0)
        {
            last = end;
            newline = text[end] is (byte)'\r' or (byte)'\n' ? end + 1 : newline;
            end += length;
        }

        if (newline > 0 && newlinesEnd)
        {
            return newline;
        }

        return end == text.Length || last == start ? end : last;
    }
}
