namespace KQuant.Codecs.Files;

/// <summary>
/// What the description of a model may make a reader allocate, all its files together. A reader charges before it allocates, so a hostile
/// header of a hundred megabytes is refused at the limit, while a real model with 100,000 tensors of long names stays far below.
/// </summary>
internal sealed class AllocationBudget
{
    /// <summary>56 MiB: with what the runtime itself needs, an open stays under 64 MiB.</summary>
    public const long Limit = 56L << 20;

    private long _used;

    /// <summary>Sets bytes aside.</summary>
    /// <returns>False when the budget is exhausted: the caller then refuses the file.</returns>
    public bool TryCharge(long bytes)
    {
        _used += bytes;
        return _used <= Limit;
    }
}
