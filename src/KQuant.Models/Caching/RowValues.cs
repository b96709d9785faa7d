using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Values as rows of bytes, [head][slot][row]: many of them are decoded at once into the nearest cache, where all rows of weights find them.</summary>
internal sealed unsafe class RowValues : ValueStore
{
    private readonly RowCoding _coding;
    private readonly SlotMemory _memory;

    /// <param name="heads">Value heads.</param>
    /// <param name="coding">How the values of a slot become a row.</param>
    public RowValues(int heads, RowCoding coding)
        : this(heads, coding, new SlotMemory(heads, coding.RowBytes))
    {
    }

    private RowValues(int heads, RowCoding coding, SlotMemory memory)
        : base(heads, coding.HeadSize) => (_coding, _memory) = (coding, memory);

    public override SlotMemory Memory => _memory;

    public override void Store(int head, int slot, float* value) => _coding.Encode(value, _memory.Get(head, slot));

    public override CacheSpan Read(int head, int slot, int count, float* scratch)
    {
        // What lies between rows is weighted, too, and falls on sums that nobody reads; it only has to be a number.
        if (Stride != HeadSize)
        {
            new Span<float>(scratch, count * Stride).Clear();
        }

        _coding.Decode(_memory.Get(head, slot), count, scratch, Stride);
        return new CacheSpan(scratch, CacheElement.Single);
    }

    public override ValueStore Fork(int slots) => new RowValues(Heads, _coding, _memory.Fork(slots));
}
