using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// Decodes tokens as they come: characters whose bytes are spread over several tokens appear with the last of them. The texts together are
/// what <see cref="Tokenizer.Decode"/> gives for all ids at once, but for byte tokens that are no UTF-8: here each faulty sequence becomes
/// one U+FFFD, there some tokenizers replace every byte around it as well. Not safe for use by several threads at once.
/// </summary>
public sealed class StreamingDecoder
{
    private readonly TokenPieces _pieces;
    private readonly bool _skipSpecialTokens;
    private readonly bool _continuesText;
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private char[] _characters = new char[64];
    private int _spacesLeft;
    private bool _isFirst;
    private bool _owesSpace;

    internal StreamingDecoder(TokenPieces pieces, bool skipSpecialTokens, bool continuesText)
    {
        (_pieces, _skipSpecialTokens, _continuesText) = (pieces, skipSpecialTokens, continuesText);
        Reset();
    }

    /// <summary>Takes the next token.</summary>
    /// <param name="id">Its id; one that names no token is left out.</param>
    /// <returns>The text that is certain now; may be empty.</returns>
    public string Append(int id)
    {
        if (!_pieces.IsKnown(id) || (_skipSpecialTokens && (_pieces.Kinds[id] & TokenKinds.Special) != 0))
        {
            return "";
        }

        if (_owesSpace)
        {
            _owesSpace = false;
            return Decode(" "u8, flush: false) + Append(id);
        }

        _owesSpace = (_pieces.Kinds[id] & TokenKinds.EndsWord) != 0;
        ReadOnlySpan<byte> bytes = _pieces.Bytes[id];
        if (_isFirst && _pieces.TrimsFirstToken && (_pieces.Kinds[id] & TokenKinds.Byte) == 0)
        {
            bytes = bytes.TrimStart((byte)' ');
        }

        _isFirst = false;
        for (; _spacesLeft > 0 && bytes.Length > 0; _spacesLeft--)
        {
            if (bytes[0] != ' ')
            {
                _spacesLeft = 0;
                break;
            }

            bytes = bytes[1..];
        }

        return Decode(bytes, flush: false);
    }

    /// <summary>Ends the text: what is left of an incomplete character becomes U+FFFD. The decoder is as new afterwards.</summary>
    /// <returns>The rest of the text; usually empty.</returns>
    public string Flush()
    {
        string rest = Decode([], flush: true);
        Reset();
        return rest;
    }

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        // What is left of a character before may add up to three replacement characters.
        int needed = bytes.Length + 4;
        if (_characters.Length < needed)
        {
            _characters = new char[needed];
        }

        return new string(_characters, 0, _decoder.GetChars(bytes, _characters, flush));
    }

    private void Reset()
    {
        _spacesLeft = _continuesText ? 0 : _pieces.LeadingSpaces;
        _isFirst = !_continuesText;
        _owesSpace = false;
    }
}
