using System.Buffers;

namespace KQuant.Models.Tokenizers;

/// <summary>Tells which neighbours may be joined, for <see cref="SymbolMerger"/>.</summary>
internal interface IMergePairs
{
    /// <summary>The rank of joining two neighbours, or <see cref="int.MaxValue"/>.</summary>
    /// <param name="left">The id of the first.</param>
    /// <param name="right">The id of the second.</param>
    /// <param name="start">Where the first begins in the text.</param>
    /// <param name="end">Where the second ends.</param>
    /// <param name="result">The id they become.</param>
    /// <returns>The rank; the lowest goes first, the leftmost of equals.</returns>
    int Rank(int left, int right, int start, int end, out int result);
}

/// <summary>
/// Joins neighbours, lowest rank first, until no pair is left. Short sequences are searched again after every step; for long ones a heap
/// holds the candidates, so that n symbols take n log n steps whatever the text.
/// </summary>
internal static class SymbolMerger
{
    private const int MaxLinear = 32;

    /// <summary>Joins symbols in place.</summary>
    /// <param name="pairs">The pairs.</param>
    /// <param name="ids">Ids of the symbols; on return the first so many are those that are left.</param>
    /// <param name="starts">Where each symbol begins in the text, and as last element where the text ends: one more than ids. Changed.</param>
    /// <returns>How many are left.</returns>
    public static int Merge<TPairs>(TPairs pairs, Span<int> ids, Span<int> starts)
        where TPairs : struct, IMergePairs, allows ref struct => ids.Length <= MaxLinear ? MergeShort(pairs, ids, starts) : MergeLong(pairs, ids, starts);

    private static int MergeShort<TPairs>(TPairs pairs, Span<int> ids, Span<int> starts)
        where TPairs : struct, IMergePairs, allows ref struct
    {
        Span<int> ranks = stackalloc int[MaxLinear], results = stackalloc int[MaxLinear];
        int count = ids.Length;
        for (int i = 0; i + 1 < count; i++)
        {
            ranks[i] = pairs.Rank(ids[i], ids[i + 1], starts[i], starts[i + 2], out results[i]);
        }

        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
            {
                best = ranks[i] < ranks[best] ? i : best;
            }

            if (ranks[best] == int.MaxValue)
            {
                break;
            }

            ids[best] = results[best];
            count--;
            ids[(best + 2)..(count + 1)].CopyTo(ids[(best + 1)..]);
            starts[(best + 2)..(count + 2)].CopyTo(starts[(best + 1)..]);
            if (best + 2 < count + 1)
            {
                ranks[(best + 2)..count].CopyTo(ranks[(best + 1)..]);
                results[(best + 2)..count].CopyTo(results[(best + 1)..]);
            }

            if (best > 0)
            {
                ranks[best - 1] = pairs.Rank(ids[best - 1], ids[best], starts[best - 1], starts[best + 1], out results[best - 1]);
            }

            if (best + 1 < count)
            {
                ranks[best] = pairs.Rank(ids[best], ids[best + 1], starts[best], starts[best + 2], out results[best]);
            }
        }

        return count;
    }

    private static int MergeLong<TPairs>(TPairs pairs, Span<int> ids, Span<int> starts)
        where TPairs : struct, IMergePairs, allows ref struct
    {
        int count = ids.Length;
        int[] scratch = ArrayPool<int>.Shared.Rent(checked(4 * count));
        Span<int> previous = scratch.AsSpan(0, count), next = scratch.AsSpan(count, count);
        Span<int> ranks = scratch.AsSpan(2 * count, count), results = scratch.AsSpan(3 * count, count);
        using var heap = new MinHeap(count);
        for (int i = 0; i < count; i++)
        {
            (previous[i], next[i]) = (i - 1, i + 1);
            ranks[i] = i + 1 < count ? pairs.Rank(ids[i], ids[i + 1], starts[i], starts[i + 2], out results[i]) : int.MaxValue;
            if (ranks[i] != int.MaxValue)
            {
                heap.Fill(ranks[i], i);
            }
        }

        heap.Order();
        while (heap.TryPop(out int rank, out int at))
        {
            // The pair may have changed since it was put into the heap; then it is there again under its new rank.
            if (ranks[at] != rank)
            {
                continue;
            }

            int gone = next[at], behind = next[gone], before = previous[at];
            ids[at] = results[at];
            ranks[gone] = int.MaxValue;
            next[at] = behind;
            int end = behind < count ? starts[behind] : starts[count];
            ranks[at] = int.MaxValue;
            if (behind < count)
            {
                previous[behind] = at;
                int endOfNext = next[behind] < count ? starts[next[behind]] : starts[count];
                ranks[at] = pairs.Rank(ids[at], ids[behind], starts[at], endOfNext, out results[at]);
                if (ranks[at] != int.MaxValue)
                {
                    heap.Push(ranks[at], at);
                }
            }

            if (before >= 0)
            {
                ranks[before] = pairs.Rank(ids[before], ids[at], starts[before], end, out results[before]);
                if (ranks[before] != int.MaxValue)
                {
                    heap.Push(ranks[before], before);
                }
            }
        }

        int left = 0;
        for (int i = 0; i < count; i = next[i])
        {
            (ids[left], starts[left]) = (ids[i], starts[i]);
            left++;
        }

        starts[left] = starts[count];
        ArrayPool<int>.Shared.Return(scratch);
        return left;
    }
}
