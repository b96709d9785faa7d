using KQuant.Matmul.Backends;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>What stores of keys and of values have in common: slots for every head, and who holds their memory.</summary>
/// <param name="heads">Key and value heads.</param>
/// <param name="headSize">Values of a head.</param>
internal abstract class CacheStore(int heads, int headSize) : IDisposable
{
    /// <summary>Slots that belong together: capacities are multiples of it.</summary>
    public const int BlockSize = AttentionKernel.BlockSize;

    public int Heads => heads;

    public int HeadSize => headSize;

    /// <summary>Where it lies.</summary>
    public abstract SlotMemory Memory { get; }

    /// <summary>Bytes held.</summary>
    public long ByteCount => Memory.ByteCount;

    /// <summary>Where it lies, if it is in float32 on a backend; otherwise null.</summary>
    public BackendBuffer? Buffer => Memory.Buffer;

    /// <summary>What has to be known of everything stored, such as whether it has numbers that kernels treat apart; goes to files.</summary>
    protected virtual bool Mark
    {
        get => false;
        set
        {
        }
    }

    /// <summary>Tells it to keep float32 where a backend reaches it; others stay where they are. Before anything is stored.</summary>
    public virtual void UseMemoryOf(ILayerBackend backend)
    {
    }

    /// <summary>Makes room for so many slots, a multiple of <see cref="BlockSize"/>; what is stored stays.</summary>
    public void Reserve(int slots) => Memory.Reserve(slots);

    /// <summary>Bytes of so many slots in a file.</summary>
    public long GetStoredByteCount(int slots) => Memory.GetByteCount(slots) + sizeof(bool);

    /// <summary>Writes the first slots, or fills them; there is room for them.</summary>
    public void Pass(CacheTransfer transfer, int slots)
    {
        Mark = transfer.Pass(Mark);
        Memory.Pass(transfer, slots);
    }

    public void Dispose() => Memory.Dispose();
}
