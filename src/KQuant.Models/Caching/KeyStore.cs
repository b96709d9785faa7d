using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>
/// How the keys of one layer are stored, and how queries meet them. Who only decodes gives <see cref="Read"/> and keeps the rest; who
/// scores on what it stores overrides <see cref="Score"/>; one that stores rotated keys rotates queries in <see cref="PrepareQueries"/>.
/// </summary>
/// <remarks>Different slots are stored and read by several threads at once.</remarks>
/// <param name="heads">Key heads.</param>
/// <param name="headSize">Values of a head.</param>
internal abstract unsafe class KeyStore(int heads, int headSize) : CacheStore(heads, headSize)
{
    /// <summary>Blocks that are decoded at once: rows of queries find them in the nearest cache.</summary>
    private const int BlocksAtOnce = 4;

    /// <summary>Floats that <see cref="Score"/> may use as it likes.</summary>
    public virtual int ScratchLength => HeadSize * BlockSize * BlocksAtOnce;

    /// <summary>Stores the key of a slot.</summary>
    /// <param name="head">Key head.</param>
    /// <param name="slot">The slot.</param>
    /// <param name="key">Its values, finite.</param>
    public abstract void Store(int head, int slot, float* key);

    /// <summary>Called once for the queries of a piece of work, before they are scored.</summary>
    /// <param name="queries">[rows][head size], the scale of attention included.</param>
    /// <param name="rows">Rows.</param>
    public virtual void PrepareQueries(float* queries, int rows)
    {
    }

    /// <summary>Products of prepared queries with the keys of all slots of a range, and of the rest of its last block.</summary>
    /// <param name="kernel">The inner loops.</param>
    /// <param name="head">Key head.</param>
    /// <param name="range">The slots.</param>
    /// <param name="queries">[rows][head size].</param>
    /// <param name="rows">Rows, as <see cref="AttentionKernel.Pad"/> gives them.</param>
    /// <param name="scores">Rows of results, one for each slot of the range.</param>
    /// <param name="stride">From row to row.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> floats.</param>
    public virtual void Score(
        AttentionKernel kernel, int head, SlotRange range, float* queries, int rows, float* scores, nint stride, float* scratch)
    {
        int end = (range.End + BlockSize - 1) / BlockSize;
        for (int block = range.Start / BlockSize; block < end; block += BlocksAtOnce)
        {
            int count = Math.Min(BlocksAtOnce, end - block);
            CacheSpan keys = Read(head, block, count, scratch);
            if (rows > AttentionKernel.MaxRows && keys.Element != CacheElement.Single)
            {
                kernel.Widen(keys, count * HeadSize * BlockSize, scratch);
                keys = new CacheSpan(scratch, CacheElement.Single);
            }

            kernel.Score(queries, rows, keys, count, HeadSize, scores + ((block * BlockSize) - range.Start), stride);
        }
    }

    /// <summary>The keys of consecutive blocks of slots, [count][head size][<see cref="CacheStore.BlockSize"/>].</summary>
    /// <param name="head">Key head.</param>
    /// <param name="block">Number of the first block.</param>
    /// <param name="count">How many, 4 at most.</param>
    /// <param name="scratch">Room for them in float32, for who has to decode.</param>
    public abstract CacheSpan Read(int head, int block, int count, float* scratch);

    /// <summary>A store of its own with the first slots of this one.</summary>
    public abstract KeyStore Fork(int slots);
}
