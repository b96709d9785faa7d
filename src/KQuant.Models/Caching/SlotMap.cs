namespace KQuant.Models.Caching;

/// <summary>
/// Where the positions of a text lie in a layer's stores. A layer that sees everything has a slot for every position. One with a window is
/// a ring behind the first <see cref="Keep"/> slots: as many slots as it sees positions, and those that the last tokens of a step no longer
/// see but the first do.
/// </summary>
internal sealed class SlotMap
{
    /// <param name="window">Positions seen, <paramref name="keep"/> included; 0 for all.</param>
    /// <param name="keep">Positions at the start that are always seen.</param>
    /// <param name="chunk">The most tokens that are added at once.</param>
    public SlotMap(int window, int keep, int chunk)
    {
        Window = window;
        Keep = window == 0 ? 0 : keep;

        // A window of almost 2^31 positions, which a file may claim, must not make a ring of fewer than none.
        RingSize = window == 0 ? 0 : (int)Math.Min((long)window - Keep + chunk - 1, int.MaxValue - Keep - CacheStore.BlockSize);
    }

    /// <summary>Positions that a token sees; 0 for all.</summary>
    public int Window { get; }

    /// <summary>Positions at the start that are always seen.</summary>
    public int Keep { get; }

    /// <summary>Slots of the ring behind them; 0 for none.</summary>
    public int RingSize { get; }

    /// <summary>Slots that are used when the text has so many positions.</summary>
    public int CountSlots(int positions) => RingSize == 0 ? positions : Math.Min(positions, Keep + RingSize);

    /// <summary>Where a position is stored.</summary>
    public int GetSlot(int position) => RingSize == 0 || position < Keep ? position : Keep + ((position - Keep) % RingSize);

    /// <summary>The first position, kept ones apart, that a token sees.</summary>
    public int FirstVisible(int position) => Window == 0 ? 0 : Math.Max(0, position - (Window - Keep) + 1);

    /// <summary>The first position, kept ones apart, that is still stored when a text had so many positions.</summary>
    public int FirstStored(int positions) => RingSize == 0 ? 0 : Math.Max(0, positions - RingSize);
}
