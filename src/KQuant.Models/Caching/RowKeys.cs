using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Keys as rows of bytes, [head][slot][row]: some are decoded into the nearest cache, where all rows of queries meet them.</summary>
internal sealed unsafe class RowKeys : KeyStore
{
    private readonly RowCoding _coding;
    private readonly SlotMemory _memory;

    /// <param name="heads">Key heads.</param>
    /// <param name="coding">How a key becomes a row.</param>
    public RowKeys(int heads, RowCoding coding)
        : this(heads, coding, new SlotMemory(heads, coding.RowBytes))
    {
    }

    private RowKeys(int heads, RowCoding coding, SlotMemory memory)
        : base(heads, coding.HeadSize) => (_coding, _memory) = (coding, memory);

    public override SlotMemory Memory => _memory;

    /// <summary>Decoded keys, and prepared queries.</summary>
    public override int ScratchLength => Math.Max(base.ScratchLength, (BlockSize + RowsAtOnce) * _coding.DecodedSize);

    /// <summary>Rows of queries that are prepared at once.</summary>
    private static int RowsAtOnce => 64;

    public override void Store(int head, int slot, float* key) => _coding.Encode(key, _memory.Get(head, slot));

    public override void Score(
        AttentionKernel kernel, int head, SlotRange range, float* queries, int rows, float* scores, nint stride, float* scratch)
    {
        int size = _coding.DecodedSize;
        float* prepared = scratch + (BlockSize * size);
        for (int first = 0; first < rows; first += RowsAtOnce)
        {
            int count = Math.Min(RowsAtOnce, rows - first);
            float* some = queries + ((nint)first * HeadSize);
            for (int row = 0; _coding.PreparesQueries && row < count; row++)
            {
                _coding.PrepareQuery(new ReadOnlySpan<float>(some + ((nint)row * HeadSize), HeadSize), new Span<float>(prepared + ((nint)row * size), size));
            }

            for (int slot = range.Start; slot < range.End; slot += BlockSize)
            {
                int keys = Math.Min(BlockSize, range.End - slot);
                _coding.Decode(_memory.Get(head, slot), keys, scratch, size);
                RowProducts.Multiply(_coding.PreparesQueries ? prepared : some, count, scratch, keys, size, scores + (first * stride) + (slot - range.Start), stride);
            }
        }

        GC.KeepAlive(_memory);
    }

    public override CacheSpan Read(int head, int block, int count, float* scratch)
    {
        float* key = stackalloc float[HeadSize];
        for (int slot = 0; slot < count * BlockSize; slot++)
        {
            _coding.Reconstruct(_memory.Get(head, (block * BlockSize) + slot), key);
            float* lane = scratch + ((nint)(slot / BlockSize) * HeadSize * BlockSize) + (slot % BlockSize);
            for (int i = 0; i < HeadSize; i++)
            {
                lane[i * BlockSize] = key[i];
            }
        }

        return new CacheSpan(scratch, CacheElement.Single);
    }

    public override KeyStore Fork(int slots) => new RowKeys(Heads, _coding, _memory.Fork(slots));
}
