using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Grammars;

/// <summary>Reads grammars in the form of llama.cpp's GBNF.</summary>
internal sealed class GrammarParser
{
    /// <summary>Characters of a grammar at most; a schema with a thousand properties has some hundred thousand.</summary>
    private const int MaxLength = 4 << 20;

    private readonly string _text;
    private readonly Dictionary<string, GrammarNode> _rules = new(StringComparer.Ordinal);
    private int _at;

    private GrammarParser(string text) => _text = text;

    /// <summary>The rules by their names.</summary>
    /// <exception cref="GrammarException">The text is no grammar; the message names the line.</exception>
    public static Dictionary<string, GrammarNode> Parse(string text)
    {
        if (text.Length > MaxLength)
        {
            throw new GrammarException($"The grammar has {text.Length} characters; at most {MaxLength} are taken.");
        }

        var parser = new GrammarParser(text);
        parser.ReadRules();
        return parser._rules;
    }

    private void ReadRules()
    {
        SkipSpace(lines: true);
        while (_at < _text.Length)
        {
            string name = ReadName();
            SkipSpace(lines: false);
            if (!_text.AsSpan(_at).StartsWith("::=", StringComparison.Ordinal))
            {
                throw Error("'::=' is missing behind the name of a rule");
            }

            _at += 3;
            SkipSpace(lines: true);
            if (!_rules.TryAdd(name, ReadChoice(isNested: false)))
            {
                throw Error($"rule '{Printable.Shorten(name)}' is there twice");
            }

            if (_at < _text.Length && _text[_at] is not ('\r' or '\n'))
            {
                throw Error($"'{Printable.Shorten(_text[_at].ToString())}' is not expected here");
            }

            SkipSpace(lines: true);
        }
    }

    private GrammarNode ReadChoice(bool isNested)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Error("it nests too deep");
        }

        ImmutableArray<GrammarNode>.Builder parts = ImmutableArray.CreateBuilder<GrammarNode>();
        while (true)
        {
            parts.Add(ReadSequence(isNested));
            int before = _at;
            SkipSpace(lines: true);
            if (_at == _text.Length || _text[_at] != '|')
            {
                _at = isNested ? _at : before;
                return parts.Count == 1 ? parts[0] : new GrammarNode.Choice(parts.ToImmutable());
            }

            _at++;
            SkipSpace(lines: true);
        }
    }

    private GrammarNode ReadSequence(bool isNested)
    {
        ImmutableArray<GrammarNode>.Builder parts = ImmutableArray.CreateBuilder<GrammarNode>();
        while (true)
        {
            SkipSpace(isNested);
            GrammarNode? part = _at == _text.Length ? null : _text[_at] switch
            {
                '"' => ReadLiteral(),
                '[' => ReadSet(),
                '(' => ReadGroup(),
                '<' => ReadToken(),
                '.' => ReadAny(),
                char letter when IsName(letter) => new GrammarNode.Reference(ReadName()),
                _ => null,
            };
            if (part is null)
            {
                return parts.Count == 1 ? parts[0] : new GrammarNode.Sequence(parts.ToImmutable());
            }

            parts.Add(ReadRepetition(part));
        }
    }

    private GrammarNode.Literal ReadLiteral()
    {
        var bytes = new List<byte>();
        Span<byte> utf8 = stackalloc byte[4];
        _at++;
        while (Peek("a text") != '"')
        {
            int count = new Rune(ReadCharacter()).EncodeToUtf8(utf8);
            bytes.AddRange(utf8[..count]);
        }

        _at++;
        return new GrammarNode.Literal([.. bytes]);
    }

    private GrammarNode.Characters ReadSet()
    {
        _at++;
        bool isNegated = Peek("a set of characters") == '^';
        _at += isNegated ? 1 : 0;
        var ranges = new List<(int First, int Last)>();
        while (Peek("a set of characters") != ']')
        {
            int first = ReadCharacter(), last = first;
            if (_at + 1 < _text.Length && _text[_at] == '-' && _text[_at + 1] != ']')
            {
                _at++;
                last = ReadCharacter();
                if (last < first)
                {
                    throw Error("a range of characters ends before it begins");
                }
            }

            ranges.Add((first, last));
        }

        _at++;
        var set = CodePointSet.Of([.. ranges]);
        return new GrammarNode.Characters(isNegated ? set.Complement() : set);
    }

    private GrammarNode.Characters ReadAny()
    {
        _at++;
        return new GrammarNode.Characters(CodePointSet.Empty.Complement());
    }

    private GrammarNode ReadGroup()
    {
        _at++;
        SkipSpace(lines: true);
        GrammarNode part = ReadChoice(isNested: true);
        if (Peek("a group") != ')')
        {
            throw Error($"'{Printable.Shorten(_text[_at].ToString())}' is not expected within a group");
        }

        _at++;
        return part;
    }

    private GrammarNode.Token ReadToken()
    {
        int end = _text.IndexOf("]>", _at, StringComparison.Ordinal);
        if (_text.AsSpan(_at).StartsWith("<[", StringComparison.Ordinal) && end > 0
            && int.TryParse(_text.AsSpan(_at + 2, end - _at - 2), NumberStyles.None, CultureInfo.InvariantCulture, out int id))
        {
            _at = end + 2;
            return new GrammarNode.Token(id);
        }

        throw Error("a token is written by its id, as in <[1000]>");
    }

    private GrammarNode ReadRepetition(GrammarNode part)
    {
        SkipSpace(lines: false);
        while (_at < _text.Length && _text[_at] is '*' or '+' or '?' or '{')
        {
            (int least, int most) = _text[_at++] switch
            {
                '*' => (0, -1),
                '+' => (1, -1),
                '?' => (0, 1),
                _ => ReadBounds(),
            };
            part = new GrammarNode.Repetition(part, least, most);
            SkipSpace(lines: false);
        }

        return part;
    }

    private (int Least, int Most) ReadBounds()
    {
        SkipSpace(lines: false);
        int least = Peek("a number of repetitions") == ',' ? 0 : ReadNumber(), most = least;
        SkipSpace(lines: false);
        if (Peek("a number of repetitions") == ',')
        {
            _at++;
            SkipSpace(lines: false);
            most = Peek("a number of repetitions") == '}' ? -1 : ReadNumber();
            SkipSpace(lines: false);
        }

        if (Peek("a number of repetitions") != '}' || (most >= 0 && most < least))
        {
            throw Error("a number of repetitions is {m}, {m,} or {m,n} with m up to n");
        }

        _at++;
        return (least, most);
    }

    private int ReadNumber()
    {
        int start = _at;
        while (_at < _text.Length && char.IsAsciiDigit(_text[_at]))
        {
            _at++;
        }

        return int.TryParse(_text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw Error("a number of repetitions is {m}, {m,} or {m,n} with m up to n");
    }

    private int ReadCharacter()
    {
        if (_text[_at] != '\\')
        {
            if (!Rune.TryGetRuneAt(_text, _at, out Rune rune))
            {
                throw Error("half of a surrogate pair is no character");
            }

            if (rune.Value is '\r' or '\n')
            {
                throw Error("a text or a set of characters ends on its line");
            }

            _at += rune.Utf16SequenceLength;
            return rune.Value;
        }

        _at++;
        char kind = Peek("an escape");
        _at++;
        return kind switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'x' => ReadHex(2),
            'u' => ReadHex(4),
            'U' => ReadHex(8),
            '\\' or '"' or '[' or ']' or '-' or '^' => kind,
            _ => throw Error($"'\\{Printable.Shorten(kind.ToString())}' is no escape"),
        };
    }

    private int ReadHex(int digits)
    {
        if (_at + digits <= _text.Length
            && int.TryParse(_text.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value)
            && Rune.IsValid(value))
        {
            _at += digits;
            return value;
        }

        throw Error($"an escape has {digits} hexadecimal digits of a character");
    }

    private string ReadName()
    {
        int start = _at;
        while (_at < _text.Length && IsName(_text[_at]))
        {
            _at++;
        }

        return _at > start ? _text[start.._at] : throw Error("the name of a rule is missing");
    }

    private static bool IsName(char letter) => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_';

    private char Peek(string what) => _at < _text.Length ? _text[_at] : throw Error($"{what} does not end");

    private void SkipSpace(bool lines)
    {
        while (_at < _text.Length)
        {
            char letter = _text[_at];
            if (letter == '#')
            {
                int end = _text.AsSpan(_at).IndexOfAny('\r', '\n');
                _at = end < 0 ? _text.Length : _at + end;
            }
            else if (letter is ' ' or '\t' || (lines && letter is '\r' or '\n'))
            {
                _at++;
            }
            else
            {
                return;
            }
        }
    }

    private GrammarException Error(string problem)
    {
        int line = 1 + _text.AsSpan(0, Math.Min(_at, _text.Length)).Count('\n');
        return new GrammarException($"Line {line} of the grammar: {problem}.");
    }
}
