using System.Runtime.CompilerServices;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Cuts text as the regular expressions of the byte-level families do, one pass from left to right. A hand-written scanner over code points:
/// .NET regular expressions work on UTF-16 and do not see letters beyond the basic plane.
/// </summary>
internal sealed class WordSplitter(WordRules rules) : Scanner
{
    private const CharacterClass LetterOrNumber = CharacterClass.Letter | CharacterClass.Number;

    private readonly CharacterClass _word = rules.Shape == WordShape.LettersAndMarks
        ? CharacterClass.Letter | CharacterClass.Mark
        : CharacterClass.Letter;

    private readonly CharacterClass _noSymbol =
        LetterOrNumber | CharacterClass.Space | (rules.Shape == WordShape.LettersAndMarks ? CharacterClass.Mark : 0);

    /// <inheritdoc/>
    /// <remarks>Every character begins a piece: symbols are all that is nothing else.</remarks>
    internal override int Match(ReadOnlySpan<byte> text, int at)
    {
        CharacterClass first = CharacterClasses.At(text, at, out int length);
        if (text[at] == '\'' && rules.Contractions is Contractions.LowerCase or Contractions.AnyCase
            && Contraction(text, at) is > 0 and int contraction)
        {
            return contraction;
        }

        int word = rules.Shape == WordShape.Cased ? CasedWord(text, at, first, length) : Word(text, at, first, length);
        if (word > 0)
        {
            return word;
        }

        if ((first & CharacterClass.Number) != 0)
        {
            return Numbers(text, at + length);
        }

        bool space = text[at] == ' ';
        int behind = at + length;
        CharacterClass second = CharacterClass.Space;
        int secondLength = 0;
        if (space && behind < text.Length)
        {
            second = CharacterClasses.At(text, behind, out secondLength);
            if ((second & CharacterClass.Number) != 0 && rules.MaxNumbers == 0)
            {
                return Numbers(text, behind + secondLength);
            }
        }

        if ((first & _noSymbol) == 0)
        {
            return Symbols(text, behind);
        }

        if (space && (second & _noSymbol) == 0)
        {
            return Symbols(text, behind + secondLength);
        }

        return WhiteSpace.End(text, at, rules.NewlinesEndSpace);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Run(ReadOnlySpan<byte> text, int at, CharacterClass classes)
    {
        while (at < text.Length && (CharacterClasses.At(text, at, out int length) & classes) != 0)
        {
            at += length;
        }

        return at;
    }

    /// <summary>The end of a contraction at an apostrophe, or 0.</summary>
    private int Contraction(ReadOnlySpan<byte> text, int at)
    {
        if (at + 1 >= text.Length)
        {
            return 0;
        }

        if (rules.Contractions != Contractions.LowerCase && text[(at + 1)..].StartsWith("\u017F"u8))
        {
            // The long s is an s to a regular expression that ignores case.
            return at + 3;
        }

        int fold = rules.Contractions == Contractions.LowerCase ? 0 : 0x20;
        int first = text[at + 1] | fold, second = at + 2 < text.Length ? text[at + 2] | fold : 0;
        return (first, second) switch
        {
            ('s' or 't' or 'm' or 'd', _) => at + 2,
            ('r', 'e') or ('v', 'e') or ('l', 'l') => at + 3,
            _ => 0,
        };
    }

    private int Word(ReadOnlySpan<byte> text, int at, CharacterClass first, int length)
    {
        if ((first & _word) != 0)
        {
            return Run(text, at + length, _word);
        }

        bool mayLead = rules.Lead == WordLead.Space
            ? text[at] == ' '
            : (first & CharacterClass.Number) == 0 && text[at] is not ((byte)'\r' or (byte)'\n');
        int word = at + length;
        if (!mayLead || word == text.Length || (CharacterClasses.At(text, word, out int wordLength) & _word) == 0)
        {
            return 0;
        }

        return Run(text, word + wordLength, _word);
    }

    private int Numbers(ReadOnlySpan<byte> text, int at)
    {
        int left = rules.MaxNumbers == 0 ? int.MaxValue : rules.MaxNumbers - 1;
        for (; left > 0 && at < text.Length && (CharacterClasses.At(text, at, out int length) & CharacterClass.Number) != 0; left--)
        {
            at += length;
        }

        return at;
    }

    private int Symbols(ReadOnlySpan<byte> text, int at)
    {
        while (at < text.Length && (CharacterClasses.At(text, at, out int length) & _noSymbol) == 0)
        {
            at += length;
        }

        if (rules.Tail != SymbolTail.None)
        {
            while (at < text.Length && (text[at] is (byte)'\r' or (byte)'\n' || (text[at] == '/' && rules.Tail == SymbolTail.NewlinesAndSlashes)))
            {
                at++;
            }
        }

        return at;
    }

    private int CasedWord(ReadOnlySpan<byte> text, int at, CharacterClass first, int length)
    {
        bool isWord = (first & (CharacterClass.Letter | CharacterClass.Mark)) != 0;
        bool mayLead = (first & LetterOrNumber) == 0 && text[at] is not ((byte)'\r' or (byte)'\n');
        int end = mayLead ? UpperThenLower(text, at + length) : 0;
        end = end == 0 && isWord ? UpperThenLower(text, at) : end;
        end = end == 0 && mayLead ? UpperOnly(text, at + length) : end;
        end = end == 0 && isWord ? UpperOnly(text, at) : end;
        if (end > 0 && end < text.Length && text[end] == '\'' && rules.Contractions == Contractions.EndOfWord)
        {
            return Math.Max(end, Contraction(text, end));
        }

        return end;
    }

    /// <summary><c>UP*LO+</c>, where UP and LO share what has no case; 0 if it does not match.</summary>
    private static int UpperThenLower(ReadOnlySpan<byte> text, int at)
    {
        int upper = UpperRun(text, at);
        int lower = LowerRun(text, upper);
        if (lower > upper)
        {
            return lower;
        }

        // UP* gives back what it took, one by one, until what follows it is lower case or caseless.
        while (upper > at)
        {
            upper = ValidUtf8.Previous(text, upper);
            lower = LowerRun(text, upper);
            if (lower > upper)
            {
                return lower;
            }
        }

        return 0;
    }

    /// <summary><c>UP+LO*</c>; 0 if it does not match.</summary>
    private static int UpperOnly(ReadOnlySpan<byte> text, int at)
    {
        int upper = UpperRun(text, at);
        return upper == at ? 0 : LowerRun(text, upper);
    }

    private static int UpperRun(ReadOnlySpan<byte> text, int at)
    {
        while (at < text.Length)
        {
            CharacterClass here = CharacterClasses.At(text, at, out int length);
            if ((here & (CharacterClass.Letter | CharacterClass.Mark)) == 0 || (here & CharacterClass.Lower) != 0)
            {
                break;
            }

            at += length;
        }

        return at;
    }

    private static int LowerRun(ReadOnlySpan<byte> text, int at)
    {
        while (at < text.Length)
        {
            CharacterClass here = CharacterClasses.At(text, at, out int length);
            if ((here & (CharacterClass.Letter | CharacterClass.Mark)) == 0 || (here & CharacterClass.Upper) != 0)
            {
                break;
            }

            at += length;
        }

        return at;
    }
}
