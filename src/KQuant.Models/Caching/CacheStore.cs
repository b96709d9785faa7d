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

    /// <summary>Bytes held.</summary>
    public abstract long ByteCount { get; }

    /// <summary>Where it lies, if it is in float32 on a backend; otherwise null.</summary>
    public virtual BackendBuffer? Buffer => null;

    /// <summary>Tells it to keep float32 where a backend reaches it; others stay where they are. Before anything is stored.</summary>
    public virtual void UseMemoryOf(ILayerBackend backend)
    {
    }

    /// <summary>Makes room for so many slots, a multiple of <see cref="BlockSize"/>; what is stored stays.</summary>
    public abstract void Reserve(int slots);

    public abstract void Dispose();
}
