namespace KQuant.Models.Caching;

/// <summary>The slots of a cache, [<paramref name="Start"/>, <paramref name="End"/>), that some tokens look at.</summary>
/// <param name="Start">The first slot; the beginning of a block.</param>
/// <param name="End">One behind the last.</param>
internal readonly record struct SlotRange(int Start, int End)
{
    /// <summary>The slots for consecutive tokens.</summary>
    /// <param name="map">Where positions lie.</param>
    /// <param name="position">Position of the first token.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="total">Positions in the map.</param>
    public static SlotRange For(SlotMap map, int position, int count, int total)
    {
        if (map.CountSlots(total) < total)
        {
            return new SlotRange(0, map.CountSlots(total));
        }

        int first = map.Keep > 0 ? 0 : map.FirstVisible(position);
        return new SlotRange(first / CacheStore.BlockSize * CacheStore.BlockSize, position + count);
    }

    /// <summary>Takes the slots that a token does not see out of the competition.</summary>
    /// <param name="map">Where positions lie.</param>
    /// <param name="position">Position of the token.</param>
    /// <param name="scores">The scores of the range.</param>
    public void Mask(SlotMap map, int position, Span<float> scores)
    {
        int at = Start;
        if (map.Keep > 0)
        {
            at = Math.Min(map.Keep, position + 1);
        }

        int first = Math.Max(map.FirstVisible(position), map.Keep);
        if (first > position)
        {
            Hide(scores, at, End);
            return;
        }

        int firstSlot = map.GetSlot(first);
        int lastSlot = map.GetSlot(position);
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

    private void Hide(Span<float> scores, int from, int to)
    {
        if (from < to)
        {
            scores[(from - Start)..(to - Start)].Fill(float.NegativeInfinity);
        }
    }
}
