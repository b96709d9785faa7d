using System.Buffers;

namespace KQuant.Models.Tokenizers;

/// <summary>What <see cref="BpeModel"/> is made of.</summary>
internal sealed record BpeParts(TokenTable Tokens, MergeTable Merges)
{
    /// <summary>Whether symbols are bytes; else they are code points.</summary>
    public bool IsByteLevel { get; init; }

    /// <summary>Whether a piece that is a token is that token, whatever the merges make of it.</summary>
    public bool IgnoresMerges { get; init; }

    /// <summary>Whether that holds for pieces of line breaks alone.</summary>
    public bool KeepsNewlines { get; init; }

    /// <summary>The token of each byte; -1 for a byte without one. Of no use for code points without <see cref="FallsBackToBytes"/>.</summary>
    public int[] ByteIds { get; init; } = [];

    /// <summary>Whether a code point without a token becomes its bytes.</summary>
    public bool FallsBackToBytes { get; init; }

    /// <summary>The token of what has none; -1 if that is left out.</summary>
    public int UnknownId { get; init; } = -1;

    /// <summary>Whether neighbours without a token are one unknown token.</summary>
    public bool FusesUnknown { get; init; }

    /// <summary>What tokens that continue a word begin with; empty for nothing.</summary>
    public byte[] Prefix { get; init; } = [];

    /// <summary>What the last token of a word ends with; empty for nothing.</summary>
    public byte[] Suffix { get; init; } = [];

    /// <summary>Where a long piece may be cut in advance.</summary>
    public SafeCuts? Cuts { get; init; }
}

/// <summary>Byte-pair encoding: bytes or code points, joined in the order of the merges (Sennrich et al. 2016).</summary>
internal sealed class BpeModel(BpeParts parts) : TokenModel(parts.Cuts)
{
    protected override void EncodePiece(ReadOnlySpan<byte> piece, IdList ids)
    {
        bool keeps = parts.IgnoresMerges || (parts.KeepsNewlines && piece.IndexOfAnyExcept((byte)'\n') < 0);
        if (keeps && parts.Tokens.TryGet(piece, out int whole))
        {
            ids.Add(whole);
            return;
        }

        const int onStack = 64;
        int[]? rented = piece.Length > onStack ? ArrayPool<int>.Shared.Rent(checked((2 * piece.Length) + 1)) : null;
        Span<int> room = rented ?? stackalloc int[(2 * onStack) + 1];
        Span<int> symbols = room[..piece.Length], starts = room.Slice(piece.Length, piece.Length + 1);
        int count = parts.IsByteLevel ? Bytes(piece, symbols) : Points(piece, symbols);
        count = SymbolMerger.Merge(new Pairs(parts.Merges), symbols[..count], starts[..(count + 1)]);
        ids.Add(symbols[..count]);
        if (rented is not null)
        {
            ArrayPool<int>.Shared.Return(rented);
        }
    }

    private int Bytes(ReadOnlySpan<byte> piece, Span<int> symbols)
    {
        int count = 0;
        foreach (byte value in piece)
        {
            int id = parts.ByteIds[value] >= 0 ? parts.ByteIds[value] : parts.UnknownId;
            if (id >= 0)
            {
                symbols[count++] = id;
            }
        }

        return count;
    }

    private int Points(ReadOnlySpan<byte> piece, Span<int> symbols)
    {
        int count = 0;
        bool pending = false;
        using var spelled = new ByteBuffer();
        for (int at = 0, length; at < piece.Length; at += length)
        {
            length = ValidUtf8.LengthFrom(piece[at]);
            ReadOnlySpan<byte> plain = piece.Slice(at, length);
            ReadOnlySpan<byte> point = Spell(plain, at > 0, at + length == piece.Length, spelled);
            if (parts.Tokens.TryGet(point, out int id))
            {
                if (pending)
                {
                    symbols[count++] = parts.UnknownId;
                    pending = false;
                }

                symbols[count++] = id;
            }
            else if (parts.FallsBackToBytes && HasBytes(plain))
            {
                foreach (byte value in plain)
                {
                    symbols[count++] = parts.ByteIds[value];
                }
            }
            else if (parts.UnknownId >= 0)
            {
                if (pending && !parts.FusesUnknown)
                {
                    symbols[count++] = parts.UnknownId;
                }

                pending = true;
            }
        }

        if (pending)
        {
            symbols[count++] = parts.UnknownId;
        }

        return count;
    }

    /// <summary>A character as tokens at its place in a word are spelled.</summary>
    private ReadOnlySpan<byte> Spell(ReadOnlySpan<byte> point, bool continues, bool ends, ByteBuffer spelled)
    {
        bool hasPrefix = continues && parts.Prefix.Length > 0, hasSuffix = ends && parts.Suffix.Length > 0;
        if (!hasPrefix && !hasSuffix)
        {
            return point;
        }

        spelled.Clear();
        spelled.Add(hasPrefix ? parts.Prefix : []);
        spelled.Add(point);
        spelled.Add(hasSuffix ? parts.Suffix : []);
        return spelled.Bytes;
    }

    private bool HasBytes(ReadOnlySpan<byte> point)
    {
        foreach (byte value in point)
        {
            if (parts.ByteIds[value] < 0)
            {
                return false;
            }
        }

        return true;
    }

    private readonly struct Pairs(MergeTable merges) : IMergePairs
    {
        public int Rank(int left, int right, int start, int end, out int result) => merges.Rank(left, right, out result);
    }
}
