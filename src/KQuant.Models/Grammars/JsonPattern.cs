using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;
using static System.FormattableString;

namespace KQuant.Models.Grammars;

/// <summary>A regular expression as what a JSON string that fits it looks like between its quotes.</summary>
internal sealed class JsonPattern
{
    private static readonly CodePointSet Digits = CodePointSet.Of(('0', '9'));
    private static readonly CodePointSet Words = CodePointSet.Of(('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_'));
    private static readonly CodePointSet Spaces = CodePointSet.Of(('\t', '\r'), (' ', ' '));

    /// <summary>What a JSON string writes as it is.</summary>
    private static readonly CodePointSet Plain = CodePointSet.Of((' ', 0x10FFFF)).Except(CodePointSet.Of(('"', '"'), ('\\', '\\'), (0xD800, 0xDFFF)));

    private readonly string _pattern;
    private int _at;

    private JsonPattern(string pattern) => _pattern = pattern;

    /// <summary>The pattern as a part of a grammar.</summary>
    /// <exception cref="NotSupportedException">It has something that is not understood.</exception>
    public static string Write(string pattern)
    {
        var reader = new JsonPattern(pattern);
        string parts = reader.ReadChoice(isOuter: true);
        return reader._at == pattern.Length ? parts : throw reader.Unknown();
    }

    private string ReadChoice(bool isOuter)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        var parts = new List<string> { ReadSequence(isOuter) };
        while (TryTake('|'))
        {
            parts.Add(ReadSequence(isOuter));
        }

        return "( " + string.Join(" | ", parts) + " )";
    }

    /// <summary>A pattern looks anywhere in a text, unless it says that it begins or ends with it.</summary>
    private string ReadSequence(bool isOuter)
    {
        bool begins = isOuter && TryTake('^'), ends = false;
        var parts = new List<string>();
        while (!ends && _at < _pattern.Length && _pattern[_at] is not ('|' or ')'))
        {
            if (isOuter && TryTake('$'))
            {
                ends = true;
                continue;
            }

            string part = ReadAtom();
            parts.Add(part + ReadRepetition());
        }

        if (ends && _at < _pattern.Length && _pattern[_at] != '|')
        {
            throw Unknown();
        }

        string inner = string.Join(' ', parts);
        return isOuter ? $"{(begins ? "" : "char* ")}{(inner.Length == 0 ? "\"\"" : inner)}{(ends ? "" : " char*")}" : inner.Length == 0 ? "\"\"" : inner;
    }

    private string ReadAtom()
    {
        char letter = _pattern[_at];
        switch (letter)
        {
            case '(':
                _at++;
                if (TryTake('?') && !TryTake(':'))
                {
                    throw Unknown();
                }

                string group = ReadChoice(isOuter: false);
                return TryTake(')') ? group : throw Unknown();
            case '[':
                return Write(ReadSet());
            case '.':
                _at++;
                return Write(CodePointSet.Of(('\n', '\n'), ('\r', '\r'), (0x2028, 0x2029)).Complement());
            case '\\':
                return Write(ReadEscape());
            case '*' or '+' or '?' or '{' or '}' or '^' or '$' or ']':
                throw Unknown();
            default:
                return Write(ReadPoint());
        }
    }

    private CodePointSet ReadPoint()
    {
        if (!Rune.TryGetRuneAt(_pattern, _at, out Rune rune))
        {
            throw Unknown();
        }

        _at += rune.Utf16SequenceLength;
        return CodePointSet.Of((rune.Value, rune.Value));
    }

    private CodePointSet ReadEscape()
    {
        _at++;
        if (_at == _pattern.Length)
        {
            throw Unknown();
        }

        char letter = _pattern[_at++];
        return letter switch
        {
            'd' => Digits,
            'D' => Digits.Complement(),
            'w' => Words,
            'W' => Words.Complement(),
            's' => Spaces,
            'S' => Spaces.Complement(),
            'n' => CodePointSet.Of(('\n', '\n')),
            'r' => CodePointSet.Of(('\r', '\r')),
            't' => CodePointSet.Of(('\t', '\t')),
            'f' => CodePointSet.Of(('\f', '\f')),
            'x' => ReadHex(2),
            'u' => ReadHex(4),
            _ when char.IsAsciiLetterOrDigit(letter) => throw Unknown(),
            _ => CodePointSet.Of((letter, letter)),
        };
    }

    private CodePointSet ReadHex(int digits)
    {
        if (_at + digits <= _pattern.Length
            && int.TryParse(_pattern.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int point))
        {
            _at += digits;
            return CodePointSet.Of((point, point));
        }

        throw Unknown();
    }

    private CodePointSet ReadSet()
    {
        _at++;
        bool isNegated = TryTake('^');
        CodePointSet set = CodePointSet.Empty;
        while (!TryTake(']'))
        {
            CodePointSet first = ReadMember();
            if (_at + 1 < _pattern.Length && _pattern[_at] == '-' && _pattern[_at + 1] != ']')
            {
                _at++;
                CodePointSet last = ReadMember();
                if (first.Changes.Length != 2 || last.Changes.Length != 2 || last.Changes[0] < first.Changes[0]
                    || first.Changes[1] != first.Changes[0] + 1 || last.Changes[1] != last.Changes[0] + 1)
                {
                    throw Unknown();
                }

                first = CodePointSet.Of((first.Changes[0], last.Changes[0]));
            }

            set = set.Union(first);
        }

        return isNegated ? set.Complement() : set;
    }

    private CodePointSet ReadMember() => _at == _pattern.Length || _pattern[_at] == '[' ? throw Unknown()
        : _pattern[_at] == '\\' ? ReadEscape() : ReadPoint();

    private string ReadRepetition()
    {
        if (_at == _pattern.Length || _pattern[_at] is not ('*' or '+' or '?' or '{'))
        {
            return "";
        }

        int start = _at++;
        if (_pattern[start] == '{')
        {
            int end = _pattern.IndexOf('}', _at);
            if (end < 0 || _pattern[_at..end].Any(letter => !char.IsAsciiDigit(letter) && letter != ','))
            {
                throw Unknown();
            }

            _at = end + 1;
        }

        string repetition = _pattern[start.._at];

        // How greedy it is makes no difference for whether a text fits.
        TryTake('?');
        return repetition;
    }

    /// <summary>Characters as a JSON string has them: as they are, or escaped.</summary>
    private static string Write(CodePointSet set)
    {
        var parts = new List<string>();
        CodePointSet plain = set.Intersect(Plain);
        if (plain.Changes.Length > 0)
        {
            var text = new StringBuilder("[");
            for (int i = 0; i < plain.Changes.Length; i += 2)
            {
                text.Append(CultureInfo.InvariantCulture, $"\\U{plain.Changes[i]:X8}-\\U{plain.Changes[i + 1] - 1:X8}");
            }

            parts.Add(text.Append(']').ToString());
        }

        foreach ((int point, string escape) in ((int, string)[])[('"', "\\\""), ('\\', "\\\\"), ('\n', "\\n"), ('\r', "\\r"), ('\t', "\\t"), ('\f', "\\f"), ('\b', "\\b")])
        {
            if (set.Contains(point))
            {
                parts.Add(JsonRules.QuoteText(escape));
            }
        }

        for (int point = 0; point < ' '; point++)
        {
            if (set.Contains(point) && point is not ('\n' or '\r' or '\t' or '\f' or '\b'))
            {
                parts.Add(JsonRules.QuoteText(Invariant($"\\u{point:x4}")));
            }
        }

        return parts.Count == 0
            ? throw new GrammarException("A set of characters in a pattern of the schema is empty.")
            : "( " + string.Join(" | ", parts) + " )";
    }

    private bool TryTake(char letter)
    {
        bool isThere = _at < _pattern.Length && _pattern[_at] == letter;
        _at += isThere ? 1 : 0;
        return isThere;
    }

    private NotSupportedException Unknown() => new(
        $"The pattern '{Printable.Shorten(_pattern)}' of the schema has something at character {_at + 1} that is not understood.");
}
