using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>
/// How the values of one layer are stored, and how they are summed. Who only decodes gives <see cref="Read"/> and keeps the rest; who sums
/// what it stores overrides <see cref="Accumulate"/>; one that stores rotated values turns the sums back in <see cref="FinishOutputs"/>.
/// </summary>
/// <remarks>Different slots are stored and read by several threads at once.</remarks>
/// <param name="heads">Value heads.</param>
/// <param name="headSize">Values of a head.</param>
internal abstract unsafe class ValueStore(int heads, int headSize) : CacheStore(heads, headSize)
{
    /// <summary>Slots that are decoded at once: rows of weights find them in the nearest cache.</summary>
    private const int SlotsAtOnce = 64;

    /// <summary>From one row of values or sums to the next: whole vectors.</summary>
    public int Stride { get; } = (headSize + BlockSize - 1) / BlockSize * BlockSize;

    /// <summary>Floats that <see cref="Accumulate"/> may use as it likes.</summary>
    public virtual int ScratchLength => Stride * SlotsAtOnce;

    /// <summary>Stores the values of a slot.</summary>
    /// <param name="head">Value head.</param>
    /// <param name="slot">The slot.</param>
    /// <param name="value">They, finite.</param>
    public abstract void Store(int head, int slot, float* value);

    /// <summary>Sums of the values of all slots of a range, weighted.</summary>
    /// <param name="kernel">The inner loops.</param>
    /// <param name="head">Value head.</param>
    /// <param name="range">The slots.</param>
    /// <param name="weights">Rows of weights, one for each slot of the range; they may be changed.</param>
    /// <param name="rows">Rows, as <see cref="AttentionKernel.Pad"/> gives them.</param>
    /// <param name="weightStride">From row to row.</param>
    /// <param name="outputs">[rows][<see cref="Stride"/>] sums.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> floats.</param>
    public virtual void Accumulate(
        AttentionKernel kernel, int head, SlotRange range, float* weights, int rows, nint weightStride, float* outputs, float* scratch)
    {
        new Span<float>(outputs, rows * Stride).Clear();
        for (int start = range.Start; start < range.End; start += SlotsAtOnce)
        {
            int count = Math.Min(SlotsAtOnce, range.End - start);
            CacheSpan values = Read(head, start, count, scratch);
            if (rows > AttentionKernel.MaxRows && values.Element != CacheElement.Single)
            {
                kernel.Widen(values, count * Stride, scratch);
                values = new CacheSpan(scratch, CacheElement.Single);
            }

            kernel.Accumulate(weights + (start - range.Start), rows, weightStride, values, Stride, count, outputs);
        }
    }

    /// <summary>Called once for the sums of a piece of work, before they are divided by the sums of their weights.</summary>
    /// <param name="outputs">[rows][<see cref="Stride"/>].</param>
    /// <param name="rows">Rows.</param>
    public virtual void FinishOutputs(float* outputs, int rows)
    {
    }

    /// <summary>The values of consecutive slots, [count][<see cref="Stride"/>].</summary>
    /// <param name="head">Value head.</param>
    /// <param name="slot">The first slot.</param>
    /// <param name="count">How many, 64 at most.</param>
    /// <param name="scratch">Room for them in float32, for who has to decode.</param>
    public abstract CacheSpan Read(int head, int slot, int count, float* scratch);

    /// <summary>A store of its own with the first slots of this one.</summary>
    public abstract ValueStore Fork(int slots);
}
