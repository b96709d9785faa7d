namespace KQuant.Models.Transformers;

/// <summary>The slots of a cache, [<paramref name="Start"/>, <paramref name="End"/>), that some tokens look at.</summary>
/// <param name="Start">The first slot; the beginning of a block.</param>
/// <param name="End">One behind the last.</param>
internal readonly record struct SlotRange(int Start, int End)
{
    /// <summary>The slots for consecutive tokens.</summary>
    /// <param name="cache">The cache.</param>
    /// <param name="position">Position of the first token.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="total">Positions in the cache.</param>
    public static SlotRange For(LayerCache cache, int position, int count, int total)
    {
        if (cache.CountSlots(total) < total)
        {
            return new SlotRange(0, cache.CountSlots(total));
        }

        int first = cache.Keep > 0 ? 0 : FirstVisible(cache, position);
        return new SlotRange(first / LayerCache.BlockSize * LayerCache.BlockSize, position + count);
    }

    /// <summary>Takes the slots that a token does not see out of the competition.</summary>
    /// <param name="cache">The cache.</param>
    /// <param name="position">Position of the token.</param>
    /// <param name="scores">The scores of the range.</param>
    public void Mask(LayerCache cache, int position, Span<float> scores)
    {
        int at = Start;
        if (cache.Keep > 0)
        {
            at = Math.Min(cache.Keep, position + 1);
        }

        int first = Math.Max(FirstVisible(cache, position), cache.Keep);
        if (first > position)
        {
            Hide(scores, at, End);
            return;
        }

        int firstSlot = cache.GetSlot(first);
        int lastSlot = cache.GetSlot(position);
        if (firstSlot <= lastSlot)
        {
            Hide(scores, at, firstSlot);
            Hide(scores, lastSlot + 1, End);
        }
        else
        {
            // The ring begins anew between them.
            Hide(scores, lastSlot + 1, firstSlot);
        }
    }

    private static int FirstVisible(LayerCache cache, int position) =>
        cache.Window == 0 ? 0 : Math.Max(0, position - (cache.Window - cache.Keep) + 1);

    private void Hide(Span<float> scores, int from, int to)
    {
        if (from < to)
        {
            scores[(from - Start)..(to - Start)].Fill(float.NegativeInfinity);
        }
    }
}
