using System.Numerics.Tensors;
using KQuant.Matmul.Backends;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Values as numbers, in rows, [head][slot][value], padded to whole vectors.</summary>
internal sealed unsafe class DenseValues : ValueStore
{
    private readonly CacheElement _element;
    private readonly SlotMemory _memory;

    /// <param name="heads">Value heads.</param>
    /// <param name="headSize">Values of a head.</param>
    /// <param name="element">What a number is.</param>
    public DenseValues(int heads, int headSize, CacheElement element)
        : base(heads, headSize)
    {
        _element = element;
        _memory = new SlotMemory(heads, Stride * element.GetSize());
    }

    private DenseValues(DenseValues original, int slots)
        : base(original.Heads, original.HeadSize) => (_element, _memory) = (original._element, original._memory.Fork(slots));

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

    public override void Store(int head, int slot, float* value)
    {
        byte* target = _memory.Get(head, slot);
        var source = new ReadOnlySpan<float>(value, HeadSize);
        if (_element == CacheElement.Single)
        {
            source.CopyTo(new Span<float>(target, HeadSize));
        }
        else
        {
            TensorPrimitives.ConvertToHalf(source, new Span<Half>(target, HeadSize));
        }
    }

    public override CacheSpan Read(int head, int slot, int count, bool isReused, float* scratch)
    {
        byte* stored = _memory.Get(head, slot);
        if (_element == CacheElement.Single || !isReused)
        {
            return new CacheSpan(stored, _element);
        }

        TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(stored, count * Stride), new Span<float>(scratch, count * Stride));
        return new CacheSpan(scratch, CacheElement.Single);
    }

    public override ValueStore Fork(int slots) => new DenseValues(this, slots);

    public override void Dispose() => _memory.Dispose();
}
