using System.Globalization;

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
                pieces.TryAdd(id, Apply(token));
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

    /// <summary>The byte of a spelling such as <c>&lt;0x0A&gt;</c>.</summary>
    public static bool TryGetByte(ReadOnlySpan<byte> token, out byte value)
    {
        value = 0;
        return token.Length == 6 && token.StartsWith("<0x"u8) && token[5] == '>'
            && byte.TryParse(token[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private byte[] Apply(ReadOnlySpan<byte> token)
    {
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

        return JoinsWithSpaces ? [(byte)' ', .. text] : text;
    }
}
