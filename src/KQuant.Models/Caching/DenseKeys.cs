using System.Numerics.Tensors;
using KQuant.Matmul.Backends;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>
/// Keys as numbers, in blocks of sixteen slots with the slots innermost, [head][block][value][16], so that the scores of sixteen slots are
/// one vector.
/// </summary>
internal sealed unsafe class DenseKeys : KeyStore
{
    private readonly CacheElement _element;
    private readonly SlotMemory _memory;

    /// <param name="heads">Key heads.</param>
    /// <param name="headSize">Values of a head.</param>
    /// <param name="element">What a number is.</param>
    public DenseKeys(int heads, int headSize, CacheElement element)
        : this(heads, headSize, element, new SlotMemory(heads, headSize * element.GetSize()))
    {
    }

    private DenseKeys(int heads, int headSize, CacheElement element, SlotMemory memory)
        : base(heads, headSize) => (_element, _memory) = (element, memory);

    public override long ByteCount => _memory.ByteCount;

    public override BackendBuffer? Buffer => _memory.Buffer;

    public override void UseMemoryOf(ILayerBackend backend)
    {
        if (_element == CacheElement.Single)
        {
            _memory.Backend = backend;
        }
    }

    public override void Reserve(int slots) => _memory.Reserve(slots);

    public override void Store(int head, int slot, float* key)
    {
        byte* block = _memory.Get(head, slot / BlockSize * BlockSize);
        int lane = slot % BlockSize;
        if (_element == CacheElement.Single)
        {
            float* target = (float*)block + lane;
            for (int i = 0; i < HeadSize; i++)
            {
                target[i * BlockSize] = key[i];
            }
        }
        else
        {
            Half* target = (Half*)block + lane;
            for (int i = 0; i < HeadSize; i++)
            {
                target[i * BlockSize] = (Half)key[i];
            }
        }
    }

    public override CacheSpan Read(int head, int block, bool isReused, float* scratch)
    {
        byte* stored = _memory.Get(head, block * BlockSize);
        if (_element == CacheElement.Single || !isReused)
        {
            return new CacheSpan(stored, _element);
        }

        int count = HeadSize * BlockSize;
        TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(stored, count), new Span<float>(scratch, count));
        return new CacheSpan(scratch, CacheElement.Single);
    }

    public override KeyStore Fork(int slots) => new DenseKeys(Heads, HeadSize, _element, _memory.Fork(slots));

    public override void Dispose() => _memory.Dispose();
}
