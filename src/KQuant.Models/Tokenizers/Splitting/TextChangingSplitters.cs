namespace KQuant.Models.Tokenizers;

/// <summary>Puts a space in front of what does not begin with one, as GPT-2 does with <c>add_prefix_space</c>.</summary>
internal sealed class PrefixSpace : PreTokenizer
{
    public override void Split(ReadOnlySpan<byte> piece, PieceSink next)
    {
        if (piece[0] == ' ')
        {
            next.Accept(piece);
            return;
        }

        using var changed = new ByteBuffer();
        changed.Add((byte)' ');
        changed.Add(piece);
        next.Accept(changed.Bytes);
    }
}

/// <summary>When <see cref="Metaspace"/> marks the beginning.</summary>
internal enum PrependScheme
{
    Always,
    First,
    Never,
}

/// <summary>Replaces spaces by a mark, usually U+2581, and cuts before each: how SentencePiece marks words.</summary>
internal sealed class Metaspace(byte[] mark, PrependScheme scheme, bool split) : PreTokenizer
{
    public override void Split(ReadOnlySpan<byte> piece, PieceSink next)
    {
        using var changed = new ByteBuffer();
        bool first = next.State.IsAtStart;
        next.State.IsAtStart = false;
        bool prepends = scheme == PrependScheme.Always || (scheme == PrependScheme.First && first);
        if (prepends && piece[0] != ' ' && !piece.StartsWith(mark))
        {
            changed.Add(mark);
        }

        for (int space; (space = piece.IndexOf((byte)' ')) >= 0; piece = piece[(space + 1)..])
        {
            changed.Add(piece[..space]);
            changed.Add(mark);
        }

        changed.Add(piece);
        ReadOnlySpan<byte> rest = changed.Bytes;
        if (split)
        {
            while (true)
            {
                int from = rest.StartsWith(mark) ? mark.Length : 0;
                int found = rest[from..].IndexOf(mark);
                if (found < 0)
                {
                    break;
                }

                next.Accept(rest[..(from + found)]);
                rest = rest[(from + found)..];
            }
        }

        next.Accept(rest);
    }
}

/// <summary>Spells bytes in GPT-2's alphabet. Only where another step comes behind it: else the model takes the bytes themselves.</summary>
internal sealed class ByteSpelling : PreTokenizer
{
    public override void Split(ReadOnlySpan<byte> piece, PieceSink next)
    {
        using var changed = new ByteBuffer();
        foreach (byte value in piece)
        {
            changed.Advance(new System.Text.Rune(ByteAlphabet.ToCharacter(value)).EncodeToUtf8(changed.Reserve(2)));
        }

        next.Accept(changed.Bytes);
    }
}
