using System.Globalization;
using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The decoder section of a <c>tokenizer.json</c>, applied to every token in advance: all that real decoders do to a token does not depend
/// on its neighbours, but for the beginning of a text and runs of bytes.
/// </summary>
internal sealed class DecoderSteps
{
    private readonly List<(byte[]? From, byte[] To, int Strip)> _steps = [];
    private int _leadingSpaces;

    public bool FallsBackToBytes { get; set; }

    /// <summary>Whether tokens have become one text, so that later steps see it as a whole.</summary>
    public bool IsFused { get; set; }

    public bool TrimsFirstToken { get; set; }

    /// <summary>Whether there is no decoder: then tokens are words.</summary>
    public bool JoinsWithSpaces { get; set; }

    private byte[]? _wordPrefix;
    private byte[]? _wordSuffix;
    private bool _cleansUp;

    /// <summary>Tokens are words, but for those with a prefix.</summary>
    public void AddWordPiece(byte[] prefix, bool cleansUp) => (_wordPrefix, _cleansUp, TrimsFirstToken) = (prefix, cleansUp, true);

    /// <summary>Tokens with a suffix end a word.</summary>
    public void AddWordEnds(byte[] suffix) => _wordSuffix = suffix;

    public void AddByteLevel() => _steps.Add((null, [], 0));

    public void AddReplace(byte[] from, byte[] to) => _steps.Add((from, to, 0));

    public void AddStrip(int count)
    {
        if (IsFused)
        {
            _leadingSpaces += count;
        }
        else
        {
            _steps.Add((null, [], count));
        }
    }

    public TokenPieces MakePieces(TokenTable tokens, TokenKinds[] kinds)
    {
        using var pieces = new TokenTable.Builder();
        for (int id = 0; id < tokens.Count; id++)
        {
            ReadOnlySpan<byte> token = tokens[id];
            if (FallsBackToBytes && TryGetByte(token, out byte value))
            {
                kinds[id] |= TokenKinds.Byte;
                pieces.TryAdd(id, [value]);
            }
            else if ((kinds[id] & TokenKinds.Known) != 0)
            {
                pieces.TryAdd(id, Apply(token, out bool endsWord));
                kinds[id] |= endsWord ? TokenKinds.EndsWord : TokenKinds.None;
            }
        }

        // The table ends with the last token, not with the last that has a text.
        return new TokenPieces(pieces.Build(), kinds)
        {
            LeadingSpaces = _leadingSpaces + (JoinsWithSpaces ? 1 : 0),
            TrimsFirstToken = TrimsFirstToken,
            ReplacesWholeRuns = FallsBackToBytes,
        };
    }

    /// <summary>English punctuation and contractions without the space before them, as BERT's decoder has it.</summary>
    private static byte[] CleanUp(byte[] text) => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(text)
        .Replace(" .", ".", StringComparison.Ordinal).Replace(" ?", "?", StringComparison.Ordinal).Replace(" !", "!", StringComparison.Ordinal)
        .Replace(" ,", ",", StringComparison.Ordinal).Replace(" ' ", "'", StringComparison.Ordinal).Replace(" n't", "n't", StringComparison.Ordinal)
        .Replace(" 'm", "'m", StringComparison.Ordinal).Replace(" do not", " don't", StringComparison.Ordinal)
        .Replace(" 's", "'s", StringComparison.Ordinal).Replace(" 've", "'ve", StringComparison.Ordinal)
        .Replace(" 're", "'re", StringComparison.Ordinal));

    /// <summary>The byte of a spelling such as <c>&lt;0x0A&gt;</c>.</summary>
    public static bool TryGetByte(ReadOnlySpan<byte> token, out byte value)
    {
        value = 0;
        return token.Length == 6 && token.StartsWith("<0x"u8) && token[5] == '>'
            && byte.TryParse(token[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private byte[] Apply(ReadOnlySpan<byte> token, out bool endsWord)
    {
        endsWord = false;
        byte[] text = token.ToArray();
        foreach ((byte[]? from, byte[] to, int strip) in _steps)
        {
            if (from is not null)
            {
                using var buffer = new ByteBuffer();
                text = new ReplaceNormalizer(from, to).TryNormalize(text, buffer) ? buffer.Bytes.ToArray() : text;
            }
            else if (strip > 0)
            {
                int spaces = text.AsSpan().IndexOfAnyExcept((byte)' ');
                text = text[Math.Min(strip, spaces < 0 ? text.Length : spaces)..];
            }
            else
            {
                var bytes = new byte[text.Length];
                text = ByteAlphabet.TryDecode(text, bytes, out int length) ? bytes[..length] : text;
            }
        }

        if (_wordPrefix is not null)
        {
            text = text.AsSpan().StartsWith(_wordPrefix) ? text[_wordPrefix.Length..] : [(byte)' ', .. text];
            text = _cleansUp ? CleanUp(text) : text;
        }

        if (_wordSuffix is not null && text.AsSpan().EndsWith(_wordSuffix))
        {
            text = text[..^_wordSuffix.Length];
            endsWord = true;
        }

        return JoinsWithSpaces ? [(byte)' ', .. text] : text;
    }
}
