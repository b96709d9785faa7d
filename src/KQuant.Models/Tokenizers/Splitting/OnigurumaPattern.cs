using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// A regular expression as tokenizer files have it (Oniguruma's Ruby syntax on code points), translated for .NET (UTF-16). All characters
/// that the expression cannot tell apart become one letter, in the expression and in the texts: so sets of any script, intersections and
/// characters beyond the basic plane cost nothing, and nothing depends on the framework's own classes.
/// </summary>
internal sealed class OnigurumaPattern
{
    private const int MaxLength = 16 << 10;
    private const int MaxDepth = 64;

    private static readonly System.Buffers.SearchValues<char> GroupHeadEnds = System.Buffers.SearchValues.Create(":=!>)<");

    private static readonly CodePointSet LineEnd = CodePointSet.Of(('\n', '\n'));

    private readonly string _pattern;
    private readonly OnigurumaSet _reader;
    private readonly List<(string? Text, CodePointSet? Set)> _parts = [];
    private bool _ignoresCase;
    private bool _dotTakesAll;

    private OnigurumaPattern(string pattern) => (_pattern, _reader) = (pattern, new OnigurumaSet(pattern));

    private char Current => _pattern[_reader.At];

    private bool IsAtEnd => _reader.At >= _pattern.Length;

    /// <summary>Translates an expression.</summary>
    /// <param name="pattern">The expression.</param>
    /// <param name="letters">The letter of each character.</param>
    /// <returns>The expression on letters.</returns>
    /// <exception cref="ArgumentException">The expression is not well-formed or uses what is not supported.</exception>
    public static string Translate(string pattern, out CodePointLetters letters)
    {
        if (pattern.Length > MaxLength)
        {
            throw new ArgumentException($"it has {pattern.Length} characters; at most {MaxLength} are taken");
        }

        var translation = new OnigurumaPattern(pattern);
        translation.Sequence(0);
        if (!translation.IsAtEnd)
        {
            throw new ArgumentException($"there is a ')' too many at {translation._reader.At}");
        }

        letters = new CodePointLetters([LineEnd, .. translation._parts.Select(part => part.Set).OfType<CodePointSet>()]);
        var result = new StringBuilder();
        foreach ((string? text, CodePointSet? set) in translation._parts)
        {
            result.Append(text ?? letters.Show(set!));
        }

        return result.ToString();
    }

    private void Sequence(int depth)
    {
        if (depth > MaxDepth)
        {
            throw new ArgumentException($"groups are nested deeper than {MaxDepth}");
        }

        (bool ignoresCase, bool dotTakesAll) = (_ignoresCase, _dotTakesAll);
        while (!IsAtEnd && Current != ')')
        {
            int start = _parts.Count;
            Atom(depth);
            Quantifiers(start);
        }

        (_ignoresCase, _dotTakesAll) = (ignoresCase, dotTakesAll);
    }

    private void Atom(int depth)
    {
        switch (Current)
        {
            case '(':
                Group(depth);
                break;
            case '[':
                Add(_reader.Bracket());
                break;
            case '\\':
                Escape();
                break;
            case '|' or '^' or '$':
                Add(Current.ToString());
                _reader.At++;
                break;
            case '.':
                Add(_dotTakesAll ? UnicodeSets.Get("any") : LineEnd.Complement());
                _reader.At++;
                break;
            case '*' or '+' or '?':
                throw new ArgumentException($"there is nothing before the quantifier at {_reader.At}");
            default:
                int point = _reader.Character();
                Add(CodePointSet.Of((point, point)));
                break;
        }
    }

    private void Escape()
    {
        if (_reader.EscapedSet() is { } set)
        {
            Add(set);
            return;
        }

        char kind = _pattern[_reader.At + 1];
        _reader.At += 2;
        switch (kind)
        {
            case 'A' or 'z' or 'Z': Add("\\" + kind); break;
            case 'b' or 'B':
                Add(kind == 'b' ? "(?:(?<=" : "(?:(?<!");
                Add(UnicodeSets.Word, foldsCase: false);
                Add(")(?!");
                Add(UnicodeSets.Word, foldsCase: false);
                Add(kind == 'b' ? ")|(?<!" : ")|(?<=");
                Add(UnicodeSets.Word, foldsCase: false);
                Add(")(?=");
                Add(UnicodeSets.Word, foldsCase: false);
                Add("))");
                break;
            case 'R':
                Add("(?>");
                Add(CodePointSet.Of(('\r', '\r')));
                Add(LineEnd);
                Add("|");
                Add(CodePointSet.Of(('\n', '\r'), (0x85, 0x85), (0x2028, 0x2029)));
                Add(")");
                break;
            case 'X':
                GraphemeClusters.Add(Add, set => Add(set, foldsCase: false));
                break;
            default:
                _reader.At -= 2;
                int point = _reader.Character();
                Add(CodePointSet.Of((point, point)));
                break;
        }
    }

    private void Group(int depth)
    {
        int start = _reader.At++;
        (bool ignoresCase, bool dotTakesAll) = (_ignoresCase, _dotTakesAll);
        string open = "(?:";
        if (!IsAtEnd && Current == '?')
        {
            int end = _pattern.AsSpan(_reader.At).IndexOfAny(GroupHeadEnds);
            end = end < 0 ? throw new ArgumentException($"the group at {start} has no end") : _reader.At + end + 1;
            if (_pattern[end - 1] == '<' && end < _pattern.Length && _pattern[end] is '=' or '!')
            {
                end++;
            }

            string head = _pattern[_reader.At..end];
            _reader.At = end;
            switch (head)
            {
                case "?:": break;
                case "?=" or "?!" or "?>" or "?<=" or "?<!": open = "(" + head; break;
                case "?i:" or "?i)": _ignoresCase = true; break;
                case "?-i:" or "?-i)": _ignoresCase = false; break;

                // Ruby's m lets the dot match line breaks; others call that s.
                case "?m:" or "?s:" or "?m)" or "?s)": _dotTakesAll = true; break;
                default: throw new ArgumentException($"the group '({head}' at {start} is not supported");
            }

            if (head[^1] == ')')
            {
                // Holds to the end of the group around it.
                return;
            }
        }

        Add(open);
        Sequence(depth + 1);
        (_ignoresCase, _dotTakesAll) = (ignoresCase, dotTakesAll);
        if (IsAtEnd)
        {
            throw new ArgumentException($"the group at {start} has no end");
        }

        Add(")");
        _reader.At++;
    }

    private void Quantifiers(int start)
    {
        while (!IsAtEnd && _parts.Count > start)
        {
            int length = QuantifierLength();
            if (length == 0)
            {
                return;
            }

            int at = _reader.At;
            bool isRange = _pattern[at] == '{';

            // Ruby takes {,3} for {0,3}; .NET would take it literally.
            Add(isRange && _pattern[at + 1] == ',' ? $"{{0{_pattern.AsSpan(at + 1, length - 1)}" : _pattern.Substring(at, length));
            _reader.At += length;
            if (!IsAtEnd && Current == '?')
            {
                Add("?");
                _reader.At++;
            }
            else if (!IsAtEnd && Current == '+')
            {
                // After a range, the plus repeats the whole; elsewhere it forbids giving back.
                _parts.Insert(start, (isRange ? "(?:" : "(?>", null));
                Add(isRange ? ")+" : ")");
                _reader.At++;
            }
            else
            {
                // Further quantifiers repeat the whole.
                _parts.Insert(start, ("(?:", null));
                Add(")");
            }
        }
    }

    private int QuantifierLength()
    {
        if (Current is '*' or '+' or '?')
        {
            return 1;
        }

        int end = _reader.At + 1;
        if (Current != '{')
        {
            return 0;
        }

        while (end < _pattern.Length && (char.IsAsciiDigit(_pattern[end]) || _pattern[end] == ','))
        {
            end++;
        }

        return end < _pattern.Length && _pattern[end] == '}' && end > _reader.At + 1 ? end + 1 - _reader.At : 0;
    }

    private void Add(string text) => _parts.Add((text, null));

    private void Add(CodePointSet set, bool foldsCase = true) => _parts.Add((null, _ignoresCase && foldsCase ? CaseFolding.Close(set) : set));
}
