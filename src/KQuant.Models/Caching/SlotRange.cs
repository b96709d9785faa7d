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
    /// <param name="part">Some slots of the range.</param>
    /// <param name="scores">Their scores.</param>
    public void Mask(SlotMap map, int position, SlotRange part, Span<float> scores)
    {
        (SlotRange first, SlotRange second) = GetHidden(map, position);
        Hide(part, scores, first);
        Hide(part, scores, second);
    }

    /// <summary>The slots that a token does not see: two runs, of which either may be empty.</summary>
    /// <param name="map">Where positions lie.</param>
    /// <param name="position">Position of the token.</param>
    public (SlotRange First, SlotRange Second) GetHidden(SlotMap map, int position)
    {
        int at = Start;
        if (map.Keep > 0)
        {
            at = Math.Min(map.Keep, position + 1);
        }

        int first = Math.Max(map.FirstVisible(position), map.Keep);
        if (first > position)
        {
            return (Run(at, End), default);
        }

        int firstSlot = map.GetSlot(first);
        int lastSlot = map.GetSlot(position);

        // The ring may begin anew between them.
        return firstSlot <= lastSlot ? (Run(at, firstSlot), Run(lastSlot + 1, End)) : (Run(lastSlot + 1, firstSlot), default);
    }

    private static SlotRange Run(int from, int to) => from < to ? new SlotRange(from, to) : default;

    private static void Hide(SlotRange part, Span<float> scores, SlotRange hidden)
    {
        int start = Math.Max(part.Start, hidden.Start), end = Math.Min(part.End, hidden.End);
        if (start < end)
        {
            scores[(start - part.Start)..(end - part.Start)].Fill(float.NegativeInfinity);
        }
    }
}
