using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>
/// Values as the blocks of a codec, in rows, [head][slot][block]. Rows of whole blocks have no gaps, so that many of them are decoded at once
/// into the nearest cache, where all rows of weights find them.
/// </summary>
internal sealed unsafe class BlockValues : ValueStore
{
    private readonly BlockCoding _coding;
    private readonly SlotMemory _memory;

    /// <param name="heads">Value heads.</param>
    /// <param name="headSize">Values of a head, whole blocks.</param>
    /// <param name="coding">The codec.</param>
    public BlockValues(int heads, int headSize, BlockCoding coding)
        : this(heads, headSize, coding, new SlotMemory(heads, coding.GetRowBytes(headSize)))
    {
    }

    private BlockValues(int heads, int headSize, BlockCoding coding, SlotMemory memory)
        : base(heads, headSize) => (_coding, _memory) = (coding, memory);

    public override SlotMemory Memory => _memory;

    public override void Store(int head, int slot, float* value) => _coding.Encode(value, HeadSize, _memory.Get(head, slot));

    public override CacheSpan Read(int head, int slot, int count, float* scratch)
    {
        _coding.Decode(_memory.Get(head, slot), scratch, count * HeadSize);
        return new CacheSpan(scratch, CacheElement.Single);
    }

    public override ValueStore Fork(int slots) => new BlockValues(Heads, HeadSize, _coding, _memory.Fork(slots));
}
