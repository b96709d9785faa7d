namespace KQuant.Models.Tokenizers;

/// <summary>Turns a piece of text into tokens.</summary>
/// <param name="cuts">Where a piece may be cut in advance; null for nowhere.</param>
internal abstract class TokenModel(SafeCuts? cuts)
{
    private readonly PieceCache _cache = new();

    /// <summary>Encodes a piece.</summary>
    /// <param name="piece">Valid UTF-8, not empty.</param>
    /// <param name="ids">Takes the ids.</param>
    public void Encode(ReadOnlySpan<byte> piece, IdList ids)
    {
        while (cuts is not null && cuts.Next(piece) is int cut && cut < piece.Length)
        {
            EncodeCached(piece[..cut], ids);
            piece = piece[cut..];
        }

        EncodeCached(piece, ids);
    }

    protected abstract void EncodePiece(ReadOnlySpan<byte> piece, IdList ids);

    private void EncodeCached(ReadOnlySpan<byte> piece, IdList ids)
    {
        if (piece.Length > PieceCache.MaxPieceBytes)
        {
            EncodePiece(piece, ids);
            return;
        }

        if (_cache.TryGet(piece, out int slot, out int[]? known))
        {
            ids.Add(known);
            return;
        }

        int count = ids.Count;
        EncodePiece(piece, ids);
        _cache.Add(slot, piece, ids.Items[count..]);
    }
}
