using System.Globalization;
using System.Text;

namespace KQuant.Models.Templates;

/// <summary>
/// Cuts a template into tokens as Python's jinja2 does with <c>trim_blocks</c> and <c>lstrip_blocks</c>, the way transformers sets it up.
/// </summary>
internal sealed class JinjaLexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    private readonly string _source;
    private readonly List<JinjaToken> _tokens = [];
    private readonly Stack<char> _open = new();
    private int _at;
    private int _line = 1;
    private bool _lineStarts = true;

    private JinjaLexer(string source) => _source = source;

    /// <exception cref="TemplateException">A tag or a string has no end, or a character cannot stand where it does.</exception>
    public static List<JinjaToken> Tokenize(string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        source = source.EndsWith('\n') ? source[..^1] : source;
        var lexer = new JinjaLexer(source);
        while (lexer._at < source.Length)
        {
            lexer.Next();
        }

        lexer.Add(TokenKind.End, "");
        return lexer._tokens;
    }

    private void Next()
    {
        int tag = NextTag(_at);
        if (tag < 0)
        {
            Data(_at, _source.Length, false, false);
            Move(_source.Length);
            return;
        }

        char sign = tag + 2 < _source.Length ? _source[tag + 2] : ' ';
        char kind = _source[tag + 1];
        Data(_at, tag, sign == '-', kind != '{' && sign != '+');
        Move(tag + 2 + (sign is '-' or '+' ? 1 : 0));
        switch (kind)
        {
            case '#':
                Comment();
                break;
            case '%' when TryRaw():
                break;
            default:
                Tag(kind == '%');
                break;
        }
    }

    private int NextTag(int from)
    {
        for (int at = from; (at = _source.IndexOf('{', at)) >= 0 && at + 1 < _source.Length; at++)
        {
            if (_source[at + 1] is '{' or '%' or '#')
            {
                return at;
            }
        }

        return -1;
    }

    private void Data(int start, int end, bool strips, bool stripsIndent)
    {
        if (strips)
        {
            while (end > start && PythonText.IsSpace(_source[end - 1]))
            {
                end--;
            }
        }
        else if (stripsIndent)
        {
            int line = end > start ? _source.LastIndexOf('\n', end - 1, end - start) + 1 : 0;
            bool known = line > start || (line == 0 || line == start) && _lineStarts;
            line = Math.Max(line, start);
            bool blank = true;
            for (int i = line; i < end; i++)
            {
                blank &= PythonText.IsSpace(_source[i]);
            }

            end = known && blank ? line : end;
        }

        if (end > start)
        {
            Add(TokenKind.Data, _source[start..end]);
        }
    }

    private void Comment()
    {
        int end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0)
        {
            throw Error("a comment has no end");
        }

        char sign = end > _at ? _source[end - 1] : ' ';
        Move(end + 2);
        EndOfTag(sign, trimsNewline: true);
    }

    /// <summary>Behind the end of a tag: a minus takes all white space, no sign takes one line break.</summary>
    private void EndOfTag(char sign, bool trimsNewline)
    {
        int start = _at;
        if (sign == '-')
        {
            int end = _at;
            while (end < _source.Length && PythonText.IsSpace(_source[end]))
            {
                end++;
            }

            Move(end);
        }
        else if (sign != '+' && trimsNewline && _at < _source.Length && _source[_at] == '\n')
        {
            Move(_at + 1);
        }

        _lineStarts = _at > start && _source[_at - 1] == '\n';
    }

    private bool TryRaw()
    {
        int at = SkipSpace(_at);
        if (!StartsWithWord(at, "raw"))
        {
            return false;
        }

        at = SkipSpace(at + 3);
        char sign = at < _source.Length ? _source[at] : ' ';
        at += sign is '-' or '+' ? 1 : 0;
        if (string.CompareOrdinal(_source, at, "%}", 0, 2) != 0)
        {
            return false;
        }

        Move(at + 2);
        EndOfTag(sign, trimsNewline: true);
        for (int tag = _at; (tag = _source.IndexOf("{%", tag, StringComparison.Ordinal)) >= 0; tag += 2)
        {
            char before = tag + 2 < _source.Length ? _source[tag + 2] : ' ';
            int name = SkipSpace(tag + (before is '-' or '+' ? 3 : 2));
            if (!StartsWithWord(name, "endraw"))
            {
                continue;
            }

            int end = SkipSpace(name + 6);
            char after = end < _source.Length ? _source[end] : ' ';
            end += after is '-' or '+' ? 1 : 0;
            if (string.CompareOrdinal(_source, end, "%}", 0, 2) != 0)
            {
                continue;
            }

            Data(_at, tag, before == '-', before != '+');
            Move(end + 2);
            EndOfTag(after, trimsNewline: true);
            return true;
        }

        throw Error("a raw block has no end");
    }

    private void Tag(bool isBlock)
    {
        Add(isBlock ? TokenKind.BlockBegin : TokenKind.VariableBegin, "");
        string end = isBlock ? "%}" : "}}";
        _open.Clear();
        while (true)
        {
            Move(SkipSpace(_at));
            if (_at >= _source.Length)
            {
                throw Error($"a tag has no end; '{end}' is missing");
            }

            char sign = _source[_at];
            int close = sign == '-' || (sign == '+' && isBlock) ? _at + 1 : _at;
            if (_open.Count == 0 && string.CompareOrdinal(_source, close, end, 0, 2) == 0)
            {
                Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, "");
                sign = close > _at ? sign : ' ';
                Move(close + 2);
                EndOfTag(sign, trimsNewline: isBlock);
                return;
            }

            Word();
        }
    }

    private void Word()
    {
        char c = _source[_at];
        if (c is '\'' or '"')
        {
            Text(c);
        }
        else if (char.IsAsciiDigit(c))
        {
            Number();
        }
        else if (IsNamePart(c))
        {
            int end = _at;
            while (end < _source.Length && IsNamePart(_source[end]))
            {
                end++;
            }

            Take(TokenKind.Name, end);
        }
        else
        {
            foreach (string sign in Operators)
            {
                if (string.CompareOrdinal(_source, _at, sign, 0, sign.Length) == 0)
                {
                    Balance(sign);
                    Take(TokenKind.Operator, _at + sign.Length);
                    return;
                }
            }

            throw Error($"unexpected character '{Codecs.Files.Printable.Shorten(c.ToString())}'");
        }
    }

    private void Balance(string sign)
    {
        switch (sign)
        {
            case "(": _open.Push(')'); break;
            case "[": _open.Push(']'); break;
            case "{": _open.Push('}'); break;
            case ")" or "]" or "}":
                if (!_open.TryPop(out char expected) || expected != sign[0])
                {
                    throw Error($"unexpected '{sign}'");
                }

                break;
        }
    }

    private void Text(char quote)
    {
        int end = _at + 1;
        while (end < _source.Length && _source[end] != quote)
        {
            end += _source[end] == '\\' ? 2 : 1;
        }

        if (end >= _source.Length)
        {
            throw Error("a string has no end");
        }

        string text = Unescape(_source.AsSpan(_at + 1, end - _at - 1));
        Add(TokenKind.String, text);
        Move(end + 1);
    }

    private void Number()
    {
        int end = Digits(_at, char.IsAsciiDigit);
        bool isFloat = false;
        bool afterDot = _at > 0 && _source[_at - 1] == '.';
        char prefix = end < _source.Length && end == _at + 1 && _source[_at] == '0' ? char.ToLowerInvariant(_source[end]) : ' ';
        if (prefix is 'x' or 'b' or 'o')
        {
            int digits = Digits(end + 1, prefix == 'x' ? char.IsAsciiHexDigit : prefix == 'b' ? (c => c is '0' or '1') : (c => c is >= '0' and <= '7'));
            if (digits > end + 1)
            {
                Take(TokenKind.Integer, digits);
                return;
            }
        }

        if (!afterDot && end + 1 < _source.Length && _source[end] == '.' && char.IsAsciiDigit(_source[end + 1]))
        {
            end = Digits(end + 1, char.IsAsciiDigit);
            isFloat = true;
        }

        if (!afterDot && end < _source.Length && _source[end] is 'e' or 'E')
        {
            int exponent = end + 1 < _source.Length && _source[end + 1] is '+' or '-' ? end + 2 : end + 1;
            if (exponent < _source.Length && char.IsAsciiDigit(_source[exponent]))
            {
                end = Digits(exponent, char.IsAsciiDigit);
                isFloat = true;
            }
        }

        Take(isFloat ? TokenKind.Float : TokenKind.Integer, end);
    }

    private int Digits(int at, Func<char, bool> isDigit)
    {
        while (at < _source.Length && (isDigit(_source[at]) || (_source[at] == '_' && at + 1 < _source.Length && isDigit(_source[at + 1]))))
        {
            at++;
        }

        return at;
    }

    private string Unescape(ReadOnlySpan<char> text)
    {
        if (!text.Contains('\\'))
        {
            return text.ToString();
        }

        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                result.Append(text[i]);
                continue;
            }

            char c = text[++i];
            switch (c)
            {
                case '\n': break;
                case '\\' or '\'' or '"': result.Append(c); break;
                case 'n': result.Append('\n'); break;
                case 't': result.Append('\t'); break;
                case 'r': result.Append('\r'); break;
                case 'b': result.Append('\b'); break;
                case 'f': result.Append('\f'); break;
                case 'v': result.Append('\v'); break;
                case 'a': result.Append('\a'); break;
                case 'x' or 'u' or 'U':
                    int count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                    if (i + count >= text.Length
                        || !int.TryParse(text.Slice(i + 1, count), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int point)
                        || point is < 0 or > 0x10FFFF)
                    {
                        throw Error($"the escape '\\{c}' of a string is not complete");
                    }

                    _ = point > 0xFFFF ? result.Append(char.ConvertFromUtf32(point)) : result.Append((char)point);
                    i += count;
                    break;
                case >= '0' and <= '7':
                    int octal = c - '0';
                    for (int digits = 1; digits < 3 && i + 1 < text.Length && text[i + 1] is >= '0' and <= '7'; digits++)
                    {
                        octal = (octal * 8) + text[++i] - '0';
                    }

                    result.Append((char)octal);
                    break;
                default: result.Append('\\').Append(c); break;
            }
        }

        return result.ToString();
    }

    private static bool IsNamePart(char c) => c == '_' || char.IsLetterOrDigit(c);

    private int SkipSpace(int at)
    {
        while (at < _source.Length && PythonText.IsSpace(_source[at]))
        {
            at++;
        }

        return at;
    }

    private bool StartsWithWord(int at, string word) =>
        string.CompareOrdinal(_source, at, word, 0, word.Length) == 0
        && (at + word.Length >= _source.Length || !IsNamePart(_source[at + word.Length]));

    private void Take(TokenKind kind, int end)
    {
        Add(kind, _source[_at..end]);
        Move(end);
    }

    private void Add(TokenKind kind, string text) => _tokens.Add(new JinjaToken(kind, text, _line));

    private void Move(int end)
    {
        _line += _source.AsSpan(_at, end - _at).Count('\n');
        _at = end;
    }

    private TemplateException Error(string problem) => new(problem, _line);
}
