using System.Globalization;
using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// A regular expression as tokenizer files have it (Oniguruma's Ruby syntax on code points), translated for .NET (UTF-16): possessive
/// quantifiers become atomic groups, scripts become ranges, and characters beyond the basic plane get stand-ins within it.
/// </summary>
internal sealed class OnigurumaPattern
{
    private const int Categories = 30;
    private const int MaxLength = 16 << 10;
    private const int MaxDepth = 64;

    private static readonly Dictionary<string, string> Scripts = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Han"] = "2E80-2E99 2E9B-2EF3 2F00-2FD5 3005 3007 3021-3029 3038-303B 3400-4DBF 4E00-9FFF F900-FA6D FA70-FAD9 16FE2-16FE3 16FF0-16FF1 "
            + "20000-2A6DF 2A700-2B739 2B740-2B81D 2B820-2CEA1 2CEB0-2EBE0 2EBF0-2EE5D 2F800-2FA1D 30000-3134A 31350-323AF",
        ["Hiragana"] = "3041-3096 309D-309F 1B001-1B11F 1B132 1B150-1B152 1F200",
        ["Katakana"] = "30A1-30FA 30FD-30FF 31F0-31FF 32D0-32FE 3300-3357 FF66-FF6F FF71-FF9D 1AFF0-1AFF3 1AFF5-1AFFB 1AFFD-1AFFE 1B000 "
            + "1B120-1B122 1B155 1B164-1B167",
        ["Hangul"] = "1100-11FF 302E-302F 3131-318E 3200-321E 3260-327E A960-A97C AC00-D7A3 D7B0-D7C6 D7CB-D7FB FFA0-FFBE FFC2-FFC7 FFCA-FFCF "
            + "FFD2-FFD7 FFDA-FFDC",
    };

    private static readonly System.Buffers.SearchValues<char> GroupHeadEnds = System.Buffers.SearchValues.Create(":=!>)<");

    private readonly string _pattern;
    private readonly StringBuilder _result = new();
    private readonly List<(int First, int Last)> _basic = [];
    private List<(int First, int Last)>? _astral;
    private int _at;

    private OnigurumaPattern(string pattern) => _pattern = pattern;

    /// <summary>The expression for .NET.</summary>
    public string Text { get; private set; } = "";

    /// <summary>Ranges beyond the basic plane that the expression lists.</summary>
    public (int First, int Last)[] AstralRanges => _astral?.ToArray() ?? [];

    /// <summary>By category, what stands for a character beyond the basic plane that the expression does not list.</summary>
    public char[] StandIns { get; } = new char[Categories];

    /// <summary>By category, what stands for one that it lists.</summary>
    public char[] ListedStandIns { get; } = new char[Categories];

    /// <exception cref="ArgumentException">The expression is not well-formed or uses what is not supported.</exception>
    public static OnigurumaPattern Translate(string pattern)
    {
        if (pattern.Length > MaxLength)
        {
            throw new ArgumentException($"it has {pattern.Length} characters; at most {MaxLength} are taken");
        }

        var translation = new OnigurumaPattern(pattern);
        translation.Sequence(0);
        if (translation._at < pattern.Length)
        {
            throw new ArgumentException($"there is a ')' too many at {translation._at}");
        }

        translation.ChooseStandIns();
        string listed = Escape(translation.ListedStandIns);
        translation.Text = translation._result.Replace("\uFFFE", translation._astral is null ? "" : listed).ToString();
        return translation;
    }

    private static string Escape(ReadOnlySpan<char> characters)
    {
        var result = new StringBuilder();
        foreach (char character in characters)
        {
            if (character != 0)
            {
                result.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:X4}");
            }
        }

        return result.ToString();
    }

    private void Sequence(int depth)
    {
        if (depth > MaxDepth)
        {
            throw new ArgumentException($"groups are nested deeper than {MaxDepth}");
        }

        while (_at < _pattern.Length && _pattern[_at] != ')')
        {
            int start = _result.Length;
            Atom(depth);
            Quantifiers(start);
        }
    }

    private void Atom(int depth)
    {
        char c = _pattern[_at];
        switch (c)
        {
            case '(':
                Group(depth);
                break;
            case '[':
                Set();
                break;
            case '\\':
                _result.Append(Escaped(inSet: false));
                break;
            default:
                if (char.IsSurrogate(c))
                {
                    throw new ArgumentException($"the character at {_at} is beyond the basic plane and not in a set");
                }

                _basic.Add((c, c));
                _result.Append(c);
                _at++;
                break;
        }
    }

    private void Group(int depth)
    {
        int start = _at++;
        _result.Append('(');
        if (_at < _pattern.Length && _pattern[_at] == '?')
        {
            int end = _pattern.AsSpan(_at).IndexOfAny(GroupHeadEnds);
            end = end < 0 ? throw new ArgumentException($"the group at {start} has no end") : _at + end + 1;
            if (_pattern[end - 1] == '<' && end < _pattern.Length && _pattern[end] is '=' or '!')
            {
                end++;
            }

            ReadOnlySpan<char> head = _pattern.AsSpan(_at, end - _at);
            if (head is not ("?:" or "?=" or "?!" or "?>" or "?i:" or "?<=" or "?<!" or "?i)" or "?m:" or "?s:"))
            {
                throw new ArgumentException($"the group '({head}' at {start} is not supported");
            }

            // Ruby's m lets the dot match line breaks; .NET calls that s.
            _result.Append(head is "?m:" ? "?s:" : head);
            _at = end;
            if (head[^1] == ')')
            {
                return;
            }
        }

        Sequence(depth + 1);
        if (_at == _pattern.Length)
        {
            throw new ArgumentException($"the group at {start} has no end");
        }

        _result.Append(')');
        _at++;
    }

    private void Quantifiers(int start)
    {
        while (_at < _pattern.Length)
        {
            int length = QuantifierLength();
            if (length == 0)
            {
                return;
            }

            bool isRange = _pattern[_at] == '{';
            if (isRange && _pattern[_at + 1] == ',')
            {
                // Ruby takes {,3} for {0,3}; .NET would take it literally.
                _result.Append("{0").Append(_pattern, _at + 1, length - 1);
            }
            else
            {
                _result.Append(_pattern, _at, length);
            }

            _at += length;
            if (_at < _pattern.Length && _pattern[_at] == '?')
            {
                _result.Append('?');
                _at++;
            }
            else if (_at < _pattern.Length && _pattern[_at] == '+')
            {
                // After a range, the plus repeats the whole; elsewhere it forbids giving back.
                _result.Insert(start, isRange ? "(?:" : "(?>").Append(isRange ? ")+" : ")");
                _at++;
            }
        }
    }

    private int QuantifierLength()
    {
        if (_pattern[_at] is '*' or '+' or '?')
        {
            return 1;
        }

        int end = _at + 1;
        if (_pattern[_at] != '{')
        {
            return 0;
        }

        while (end < _pattern.Length && (char.IsAsciiDigit(_pattern[end]) || _pattern[end] == ','))
        {
            end++;
        }

        return end < _pattern.Length && _pattern[end] == '}' && end > _at + 1 ? end + 1 - _at : 0;
    }

    private void Set()
    {
        int start = _at++;
        _result.Append('[');
        if (_at < _pattern.Length && _pattern[_at] == '^')
        {
            _result.Append('^');
            _at++;
        }

        var astral = new List<(int First, int Last)>();
        for (bool first = true; ; first = false)
        {
            if (_at >= _pattern.Length)
            {
                throw new ArgumentException($"the set at {start} has no end");
            }

            char c = _pattern[_at];
            if (c == ']' && !first)
            {
                break;
            }

            if (c == '[' || (c == '&' && _at + 1 < _pattern.Length && _pattern[_at + 1] == '&'))
            {
                throw new ArgumentException($"the set at {start} has another one inside or an intersection, which is not supported");
            }

            Member(start, astral);
        }

        _at++;
        if (astral.Count > 0)
        {
            if (_astral is not null && !_astral.SequenceEqual(astral))
            {
                throw new ArgumentException($"the set at {start} has other ranges beyond the basic plane than a set before it, which is not supported");
            }

            _astral = astral;
            _result.Append('\uFFFE');
        }

        _result.Append(']');
    }

    private void Member(int start, List<(int First, int Last)> astral)
    {
        if (_pattern[_at] == '\\' && Escaped(inSet: true, astral) is { } escaped)
        {
            _result.Append(escaped);
            return;
        }

        int first = Character(), last = first;
        if (_at + 1 < _pattern.Length && _pattern[_at] == '-' && _pattern[_at + 1] != ']')
        {
            _at++;
            last = Character();
            if (last < first)
            {
                throw new ArgumentException($"a range of the set at {start} ends before it begins");
            }
        }

        Range(first, last, astral);
    }

    private void Range(int first, int last, List<(int First, int Last)> astral)
    {
        if (last > 0xFFFF)
        {
            astral.Add((Math.Max(first, 0x10000), last));
        }

        if (first <= 0xFFFF)
        {
            last = Math.Min(last, 0xFFFF);
            _basic.Add((first, last));
            _result.Append(Escape([(char)first]) is "" ? "\\0" : Escape([(char)first]));
            if (last > first)
            {
                _result.Append('-').Append(Escape([(char)last]));
            }
        }
    }

    private int Character()
    {
        if (_pattern[_at] != '\\')
        {
            int point = char.ConvertToUtf32(_pattern, _at);
            _at += point > 0xFFFF ? 2 : 1;
            return point;
        }

        if (_at + 1 == _pattern.Length)
        {
            throw new ArgumentException("it ends with a backslash");
        }

        char c = _pattern[_at + 1];
        _at += 2;
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
            case 'x' when _at < _pattern.Length && _pattern[_at] == '{':
                int end = _pattern.IndexOf('}', _at);
                _at++;
                int value = end < 0 ? throw new ArgumentException($"the escape at {_at - 3} has no end") : Hex(end - _at);
                _at++;
                return value;
            case 'x': return Hex(2);
            default:
                return char.IsAsciiLetterOrDigit(c) ? throw new ArgumentException($"the escape '\\{c}' at {_at - 2} is not supported") : c;
        }
    }

    private int Hex(int digits)
    {
        if (digits is < 1 or > 6 || _at + digits > _pattern.Length
            || !int.TryParse(_pattern.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value)
            || value > 0x10FFFF)
        {
            throw new ArgumentException($"the hexadecimal number at {_at} is not one");
        }

        _at += digits;
        return value;
    }

    /// <summary>The translation of an escape; null, without moving on, for one that is a single character inside a set.</summary>
    private string? Escaped(bool inSet, List<(int First, int Last)>? astral = null)
    {
        char c = _at + 1 < _pattern.Length ? _pattern[_at + 1] : throw new ArgumentException("it ends with a backslash");
        switch (c)
        {
            case 'p' or 'P':
                return Property(c, inSet, astral);
            case 'd' or 'D' or 's' or 'S':
                _at += 2;
                return "\\" + c;
            case 'w' or 'h' when inSet:
                _at += 2;
                return c == 'w' ? @"\p{L}\p{M}\p{Nd}\p{Pc}" : "0-9a-fA-F";
            case 'w' or 'W' or 'h' or 'H' when !inSet:
                _at += 2;
                return c switch { 'w' => @"[\p{L}\p{M}\p{Nd}\p{Pc}]", 'W' => @"[^\p{L}\p{M}\p{Nd}\p{Pc}]", 'h' => "[0-9a-fA-F]", _ => "[^0-9a-fA-F]" };
            case 'b' or 'B' or 'A' or 'z' or 'Z' when !inSet:
                _at += 2;
                return "\\" + c;
            default:
                if (inSet)
                {
                    return null;
                }

                int point = Character();
                _basic.Add((point, point));
                return point is > 0 and <= 0xFFFF
                    ? Escape([(char)point])
                    : throw new ArgumentException($"the character before {_at} is beyond the basic plane and not in a set");
        }
    }

    private string Property(char kind, bool inSet, List<(int First, int Last)>? astral)
    {
        int end = _at + 2 < _pattern.Length && _pattern[_at + 2] == '{' ? _pattern.IndexOf('}', _at) : -1;
        if (end < 0)
        {
            throw new ArgumentException($"the property at {_at} has no name in braces");
        }

        string name = _pattern[(_at + 3)..end];
        if (name.StartsWith('^'))
        {
            (name, kind) = (name[1..], kind == 'p' ? 'P' : 'p');
        }

        _at = end + 1;
        if (name is "L" or "Lu" or "Ll" or "Lt" or "Lm" or "Lo" or "M" or "Mn" or "Mc" or "Me" or "N" or "Nd" or "Nl" or "No" or "P" or "Pc" or "Pd"
            or "Ps" or "Pe" or "Pi" or "Pf" or "Po" or "S" or "Sm" or "Sc" or "Sk" or "So" or "Z" or "Zs" or "Zl" or "Zp" or "C" or "Cc" or "Cf"
            or "Co" or "Cn")
        {
            return $"\\{kind}{{{name}}}";
        }

        if (!Scripts.TryGetValue(name, out string? ranges) || kind == 'P')
        {
            throw new ArgumentException($"the property '\\{kind}{{{name}}}' is not supported");
        }

        if (!inSet)
        {
            int length = _result.Length;
            (string rest, int at) = (_pattern, _at);
            var own = new List<(int First, int Last)>();
            _result.Append('[');
            AddScript(ranges, own);
            if (_astral is not null && own.Count > 0 && !_astral.SequenceEqual(own))
            {
                throw new ArgumentException($"the property '\\p{{{name}}}' is not supported beside other ranges beyond the basic plane");
            }

            _astral = own.Count > 0 ? own : _astral;
            _result.Append(own.Count > 0 ? "\uFFFE]" : "]");
            string text = _result.ToString(length, _result.Length - length);
            _result.Length = length;
            return text;
        }

        AddScript(ranges, astral!);
        return "";
    }

    private void AddScript(string ranges, List<(int First, int Last)> astral)
    {
        foreach (string range in ranges.Split(' '))
        {
            string[] ends = range.Split('-');
            int first = int.Parse(ends[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            Range(first, int.Parse(ends[^1], NumberStyles.HexNumber, CultureInfo.InvariantCulture), astral);
        }
    }

    /// <summary>
    /// Two characters of the basic plane for each category that the expression knows by category only: one for what it does not list, one
    /// to list for what it does. Text that has the second itself is shown as the first.
    /// </summary>
    private void ChooseStandIns()
    {
        // What has no category of its own in the basic plane (surrogates) never occurs.
        for (int c = 0xFFFD; c > 0x7F; c--)
        {
            int category = (int)CharUnicodeInfo.GetUnicodeCategory((char)c);
            if (ListedStandIns[category] != 0 || _basic.Exists(range => c >= range.First && c <= range.Last))
            {
                continue;
            }

            (StandIns[category] == 0 ? ref StandIns[category] : ref ListedStandIns[category]) = (char)c;
        }

        for (int category = 0; category < Categories; category++)
        {
            // Line and paragraph separators are two characters; surrogates are none: nothing beyond the basic plane is of such a category.
            ListedStandIns[category] = StandIns[category] == ListedStandIns[category] ? '\0' : ListedStandIns[category];
        }
    }
}
