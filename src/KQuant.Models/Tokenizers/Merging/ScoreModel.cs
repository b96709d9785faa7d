using System.Buffers;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// SentencePiece's byte-pair encoding as GGUF files carry it: two neighbours are joined if together they are a token, the pair of the
/// highest score first (llama.cpp's <c>llm_tokenizer_spm</c>).
/// </summary>
/// <param name="tokens">The vocabulary.</param>
/// <param name="ranks">For each token the place of its score: 0 for the highest, equal for equal scores.</param>
/// <param name="byteIds">The token of each byte, for characters without one; -1 for a byte without one.</param>
/// <param name="unknownId">The token of bytes without one; -1 if they are left out.</param>
/// <param name="cuts">Where a text may be cut in advance.</param>
internal sealed class ScoreModel(TokenTable tokens, int[] ranks, int[] byteIds, int unknownId, SafeCuts? cuts) : TokenModel(cuts)
{
    protected override void EncodePiece(ReadOnlySpan<byte> piece, IdList ids)
    {
        const int onStack = 64;
        int[]? rented = piece.Length > onStack ? ArrayPool<int>.Shared.Rent(checked((2 * piece.Length) + 1)) : null;
        Span<int> room = rented ?? stackalloc int[(2 * onStack) + 1];
        Span<int> symbols = room[..piece.Length], starts = room.Slice(piece.Length, piece.Length + 1);
        int count = 0;
        for (int at = 0, length; at < piece.Length; at += length)
        {
            length = ValidUtf8.LengthFrom(piece[at]);
            tokens.TryGet(piece.Slice(at, length), out symbols[count]);
            starts[count++] = at;
        }

        starts[count] = piece.Length;
        count = SymbolMerger.Merge(new Pairs(piece, tokens, ranks), symbols[..count], starts[..(count + 1)]);
        for (int i = 0; i < count; i++)
        {
            if (symbols[i] >= 0)
            {
                ids.Add(symbols[i]);
                continue;
            }

            foreach (byte value in piece[starts[i]..starts[i + 1]])
            {
                int id = byteIds[value] >= 0 ? byteIds[value] : unknownId;
                if (id >= 0)
                {
                    ids.Add(id);
                }
            }
        }

        if (rented is not null)
        {
            ArrayPool<int>.Shared.Return(rented);
        }
    }

    private readonly ref struct Pairs(ReadOnlySpan<byte> text, TokenTable tokens, int[] ranks) : IMergePairs
    {
        private readonly ReadOnlySpan<byte> _text = text;

        public int Rank(int left, int right, int start, int end, out int result) =>
            tokens.TryGet(_text[start..end], out result) ? ranks[result] : int.MaxValue;
    }
}
