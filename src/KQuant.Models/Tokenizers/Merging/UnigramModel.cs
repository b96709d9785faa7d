using System.Buffers;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The unigram language model of SentencePiece (Kudo 2018): of all ways to take a text apart, the one with the highest sum of scores.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    /// <summary>What a character without a token costs beyond the worst token.</summary>
    private const double UnknownPenalty = 10;

    private readonly TokenTable _tokens;
    private readonly double[] _scores;
    private readonly int _unknownId;
    private readonly int[]? _byteIds;
    private readonly double _unknownScore;

    /// <summary>The tokens in the order of their bytes: those with a common beginning stand together.</summary>
    private readonly int[] _sorted;

    /// <param name="tokens">The vocabulary; tokens without a text are none.</param>
    /// <param name="scores">The logarithm of the probability of each; ids beyond belong to no piece.</param>
    /// <param name="unknownId">The token of what has none.</param>
    /// <param name="byteIds">The token of each byte, for characters without one; null to leave them unknown.</param>
    public UnigramModel(TokenTable tokens, double[] scores, int unknownId, int[]? byteIds)
        : base(null)
    {
        (_tokens, _scores, _unknownId, _byteIds) = (tokens, scores, unknownId, byteIds);
        _unknownScore = scores.Min() - UnknownPenalty;
        _sorted = [.. Enumerable.Range(0, scores.Length).Where(id => !tokens[id].IsEmpty)];
        Array.Sort(_sorted, (a, b) => tokens[a].SequenceCompareTo(tokens[b]));
    }

    protected override void EncodePiece(ReadOnlySpan<byte> piece, IdList ids)
    {
        int size = piece.Length + 1;
        double[] best = ArrayPool<double>.Shared.Rent(size);
        int[] starts = ArrayPool<int>.Shared.Rent(size), found = ArrayPool<int>.Shared.Rent(size);
        try
        {
            Search(piece, best, starts.AsSpan(0, size), found);
            Collect(piece, starts, found, ids);
        }
        finally
        {
            ArrayPool<double>.Shared.Return(best);
            ArrayPool<int>.Shared.Return(starts);
            ArrayPool<int>.Shared.Return(found);
        }
    }

    /// <summary>The best way to each place: where its last token starts, and which it is.</summary>
    private void Search(ReadOnlySpan<byte> piece, Span<double> best, Span<int> starts, Span<int> found)
    {
        starts.Fill(-1);
        best[0] = 0;
        for (int at = 0, length; at < piece.Length; at += length)
        {
            length = ValidUtf8.LengthFrom(piece[at]);
            bool hasOne = false;
            int low = 0, high = _sorted.Length;
            for (int depth = 0; at + depth < piece.Length; depth++)
            {
                byte value = piece[at + depth];
                low = Bound(low, high, depth, value);
                high = Bound(low, high, depth, value + 1);
                if (low == high)
                {
                    break;
                }

                // The shortest of those that begin alike stands first.
                int id = _sorted[low];
                if (_tokens[id].Length == depth + 1)
                {
                    Offer(at, at + depth + 1, best[at] + _scores[id], id, best, starts, found);
                    hasOne |= depth + 1 == length;
                }
            }

            if (!hasOne)
            {
                Offer(at, at + length, best[at] + _unknownScore, _unknownId, best, starts, found);
            }
        }
    }

    private static void Offer(int start, int end, double score, int id, Span<double> best, Span<int> starts, Span<int> found)
    {
        if (starts[end] < 0 || score > best[end])
        {
            (best[end], starts[end], found[end]) = (score, start, id);
        }
    }

    /// <summary>The first of a run of tokens whose byte at a depth is not less than a value; shorter ones come before.</summary>
    private int Bound(int low, int high, int depth, int value)
    {
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            ReadOnlySpan<byte> token = _tokens[_sorted[middle]];
            if (token.Length <= depth || token[depth] < value)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    private void Collect(ReadOnlySpan<byte> piece, int[] starts, int[] found, IdList ids)
    {
        var parts = new List<(int Start, int End)>();
        int unknownEnd = -1;
        for (int end = piece.Length; end > 0; end = starts[end])
        {
            bool isUnknown = found[end] == _unknownId;
            if (isUnknown)
            {
                // Neighbours without a token are one.
                unknownEnd = unknownEnd < 0 ? end : unknownEnd;
            }
            else
            {
                AddUnknown(parts, end, ref unknownEnd);
                parts.Add((starts[end], end));
            }
        }

        AddUnknown(parts, 0, ref unknownEnd);
        for (int i = parts.Count - 1; i >= 0; i--)
        {
            AddIds(piece[parts[i].Start..parts[i].End], ids);
        }
    }

    private static void AddUnknown(List<(int Start, int End)> parts, int start, ref int end)
    {
        if (end >= 0)
        {
            parts.Add((start, end));
            end = -1;
        }
    }

    private void AddIds(ReadOnlySpan<byte> part, IdList ids)
    {
        if (_tokens.TryGet(part, out int id) && id < _scores.Length)
        {
            ids.Add(id);
            return;
        }

        bool hasBytes = _byteIds is not null;
        foreach (byte value in part)
        {
            hasBytes &= _byteIds is not null && _byteIds[value] >= 0;
        }

        if (!hasBytes)
        {
            ids.Add(_unknownId);
            return;
        }

        foreach (byte value in part)
        {
            ids.Add(_byteIds![value]);
        }
    }
}
