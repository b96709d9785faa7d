namespace KQuant.Models.Tokenizers;

/// <summary>WordPiece (BERT): from the left, the longest token that fits; a word that cannot be taken apart is one unknown token.</summary>
/// <param name="tokens">The vocabulary.</param>
/// <param name="prefix">What tokens that continue a word begin with.</param>
/// <param name="unknownId">The unknown token.</param>
/// <param name="maxCharacters">Longer words are unknown.</param>
internal sealed class WordPieceModel(TokenTable tokens, byte[] prefix, int unknownId, int maxCharacters) : TokenModel(null)
{
    protected override void EncodePiece(ReadOnlySpan<byte> piece, IdList ids)
    {
        int characters = 0;
        foreach (byte value in piece)
        {
            characters += (value & 0xC0) != 0x80 ? 1 : 0;
        }

        using var found = new ByteBuffer();
        var taken = new List<int>();
        for (int start = 0; start < piece.Length && characters <= maxCharacters;)
        {
            int length = Longest(piece, start, found, out int id);
            if (length == 0)
            {
                characters = int.MaxValue;
                break;
            }

            taken.Add(id);
            start += length;
        }

        if (characters > maxCharacters)
        {
            ids.Add(unknownId);
            return;
        }

        ids.Add(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(taken));
    }

    private int Longest(ReadOnlySpan<byte> piece, int start, ByteBuffer candidate, out int id)
    {
        int before = start == 0 ? 0 : prefix.Length;
        int length = Math.Min(piece.Length - start, tokens.MaxLength - before);
        candidate.Clear();
        candidate.Add(prefix.AsSpan(0, before));
        candidate.Add(piece.Slice(start, Math.Max(0, length)));
        for (; length > 0; length--)
        {
            bool isBorder = start + length == piece.Length || (piece[start + length] & 0xC0) != 0x80;
            if (isBorder && tokens.TryGet(candidate.Bytes[..(before + length)], out id))
            {
                return length;
            }
        }

        id = -1;
        return 0;
    }
}
