using System.Buffers;
using System.Text.RegularExpressions;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// A regular expression of a tokenizer file that no hand-written scanner knows, on UTF-8. .NET matches UTF-16, so each character is
/// shown to it as a letter that stands for all that the expression cannot tell from it.
/// </summary>
internal sealed class RegexMatcher
{
    /// <summary>How long one search may take when the expression needs an engine that backtracks.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Regex _regex;
    private readonly CodePointLetters _letters;

    /// <summary>Compiles an expression.</summary>
    /// <param name="pattern">The expression, in Oniguruma's syntax.</param>
    /// <exception cref="ArgumentException">The expression is not well-formed or uses what is not supported; the message says which.</exception>
    public RegexMatcher(string pattern)
    {
        string translated = OnigurumaPattern.Translate(pattern, out _letters);
        const RegexOptions options = RegexOptions.CultureInvariant | RegexOptions.Multiline;
        try
        {
            _regex = new Regex(translated, options | RegexOptions.NonBacktracking, Patience);
        }
        catch (NotSupportedException)
        {
            _regex = new Regex(translated, options, Patience);
        }
    }

    /// <summary>Finds all matches in a text.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <returns>The matches, to be disposed.</returns>
    public Matches Match(ReadOnlySpan<byte> text)
    {
        char[] characters = ArrayPool<char>.Shared.Rent(text.Length);
        int count = 0;
        for (int at = 0; at < text.Length;)
        {
            int point = ValidUtf8.CodePointAt(text, at, out int length);
            characters[count++] = _letters.Of(point);
            at += length;
        }

        return new Matches(_regex, text, characters, count);
    }

    /// <summary>The matches of one text, in order.</summary>
    internal ref struct Matches
    {
        private readonly ReadOnlySpan<byte> _text;
        private readonly char[] _characters;
        private Regex.ValueMatchEnumerator _matches;
        private int _character;
        private int _byte;

        internal Matches(Regex regex, ReadOnlySpan<byte> text, char[] characters, int count)
        {
            _text = text;
            _characters = characters;
            _matches = regex.EnumerateMatches(characters.AsSpan(0, count));
        }

        /// <summary>Where the match begins, in bytes.</summary>
        public int Start { get; private set; }

        /// <summary>Where it ends.</summary>
        public int End { get; private set; }

        public bool MoveNext()
        {
            if (!_matches.MoveNext())
            {
                return false;
            }

            ValueMatch match = _matches.Current;
            Start = Advance(match.Index);
            End = Advance(match.Index + match.Length);
            return true;
        }

        public readonly void Dispose() => ArrayPool<char>.Shared.Return(_characters);

        private int Advance(int character)
        {
            for (; _character < character; _character++)
            {
                _byte += ValidUtf8.LengthFrom(_text[_byte]);
            }

            return _byte;
        }
    }
}
