using System.Globalization;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads sets and escapes of a regular expression in Oniguruma's syntax.</summary>
/// <param name="pattern">The expression.</param>
internal sealed class OnigurumaSet(string pattern)
{
    private const int MaxDepth = 32;

    /// <summary>Where the next character is.</summary>
    public int At { get; set; }

    /// <summary>A set in brackets, with ranges, sets in it, POSIX classes and intersections.</summary>
    /// <param name="depth">How many sets it stands in.</param>
    public CodePointSet Bracket(int depth = 0)
    {
        int start = At++;
        if (depth > MaxDepth)
        {
            throw new ArgumentException($"sets are nested deeper than {MaxDepth}");
        }

        bool isNegated = Skip("^");
        CodePointSet current = CodePointSet.Empty;
        CodePointSet? left = null;
        for (bool first = true; ; first = false)
        {
            if (At >= pattern.Length)
            {
                throw new ArgumentException($"the set at {start} has no end");
            }

            if (pattern[At] == ']' && !first)
            {
                At++;
                break;
            }

            if (Skip("&&"))
            {
                left = left is null ? current : left.Intersect(current);
                current = CodePointSet.Empty;
            }
            else if (pattern[At] == '[')
            {
                current = current.Union(Posix() ?? Bracket(depth + 1));
            }
            else
            {
                current = current.Union(Member(start));
            }
        }

        current = left is null ? current : left.Intersect(current);
        return isNegated ? current.Complement() : current;
    }

    /// <summary>An escape that stands for a set, inside or outside of brackets; null, without moving on, for another.</summary>
    public CodePointSet? EscapedSet()
    {
        char kind = At + 1 < pattern.Length ? pattern[At + 1] : throw new ArgumentException("it ends with a backslash");
        CodePointSet? set = char.ToLowerInvariant(kind) switch
        {
            'd' => UnicodeSets.Get("Nd"),
            's' => UnicodeSets.Space,
            'w' => UnicodeSets.Word,
            'h' => UnicodeSets.Get("xdigit"),
            _ => null,
        };
        if (set is not null)
        {
            At += 2;
            return char.IsUpper(kind) ? set.Complement() : set;
        }

        if (kind is not ('p' or 'P'))
        {
            return null;
        }

        int end = At + 2 < pattern.Length && pattern[At + 2] == '{' ? pattern.IndexOf('}', At) : -1;
        if (end < 0)
        {
            throw new ArgumentException($"the property at {At} has no name in braces");
        }

        string name = pattern[(At + 3)..end];
        bool isNegated = (kind == 'P') != name.StartsWith('^');
        At = end + 1;
        set = UnicodeSets.Get(name.TrimStart('^'));
        return isNegated ? set.Complement() : set;
    }

    /// <summary>A character, or the escape of one.</summary>
    public int Character()
    {
        if (pattern[At] != '\\')
        {
            int point = At + 1 < pattern.Length && char.IsSurrogatePair(pattern[At], pattern[At + 1]) ? char.ConvertToUtf32(pattern, At) : pattern[At];
            At += point > 0xFFFF ? 2 : 1;
            return point;
        }

        if (At + 1 == pattern.Length)
        {
            throw new ArgumentException("it ends with a backslash");
        }

        char c = pattern[At + 1];
        At += 2;
        switch (c)
        {
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case 'f': return '\f';
            case 'v': return '\v';
            case 'a': return '\a';
            case 'e': return 27;
            case 'u': return Hex(4);
            case 'x' when At < pattern.Length && pattern[At] == '{':
                int end = pattern.IndexOf('}', At);
                At++;
                int value = end < 0 ? throw new ArgumentException($"the escape at {At - 3} has no end") : Hex(end - At);
                At++;
                return value;
            case 'x': return Hex(2);
            default:
                return char.IsAsciiLetterOrDigit(c) ? throw new ArgumentException($"the escape '\\{c}' at {At - 2} is not supported") : c;
        }
    }

    private CodePointSet Member(int start)
    {
        if (pattern[At] == '\\' && EscapedSet() is { } set)
        {
            return set;
        }

        int first = Character(), last = first;
        bool isRange = At + 1 < pattern.Length && pattern[At] == '-' && pattern[At + 1] is not (']' or '[')
            && !(pattern[At + 1] == '&' && At + 2 < pattern.Length && pattern[At + 2] == '&');
        if (isRange)
        {
            At++;
            last = Character();
            if (last < first)
            {
                throw new ArgumentException($"a range of the set at {start} ends before it begins");
            }
        }

        return CodePointSet.Of((first, last));
    }

    private CodePointSet? Posix()
    {
        int end = pattern.AsSpan(At).StartsWith("[:", StringComparison.Ordinal) ? pattern.IndexOf(":]", At, StringComparison.Ordinal) : -1;
        if (end < 0)
        {
            return null;
        }

        string name = pattern[(At + 2)..end];
        if (UnicodeSets.Posix(name.TrimStart('^')) is not { } set)
        {
            return name.All(char.IsAsciiLetter) ? throw new ArgumentException($"the class '[:{Codecs.Files.Printable.Shorten(name)}:]' at {At} is not known") : null;
        }

        At = end + 2;
        return name.StartsWith('^') ? set.Complement() : set;
    }

    private bool Skip(string text)
    {
        bool found = pattern.AsSpan(Math.Min(At, pattern.Length)).StartsWith(text, StringComparison.Ordinal);
        At += found ? text.Length : 0;
        return found;
    }

    private int Hex(int digits)
    {
        if (digits is < 1 or > 6 || At + digits > pattern.Length
            || !int.TryParse(pattern.AsSpan(At, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value)
            || value > 0x10FFFF)
        {
            throw new ArgumentException($"the hexadecimal number at {At} is not one");
        }

        At += digits;
        return value;
    }
}
