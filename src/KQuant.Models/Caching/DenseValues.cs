using System.Numerics.Tensors;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Backends;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Caching;

/// <summary>Values as numbers, in rows, [head][slot][value], padded to whole vectors.</summary>
internal sealed unsafe class DenseValues : ValueStore
{
    /// <summary>From here on binary16 is infinite.</summary>
    private const float HalfLimit = 65520;

    private readonly CacheElement _element;
    private readonly SlotMemory _memory;

    /// <summary>Whether something was stored that binary16 has no number for.</summary>
    private volatile bool _hasSpecial;

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
        : base(original.Heads, original.HeadSize) =>
        (_element, _memory, _hasSpecial) = (original._element, original._memory.Fork(slots), original._hasSpecial);

    public override SlotMemory Memory => _memory;

    protected override bool Mark
    {
        get => _hasSpecial;
        set => _hasSpecial = value;
    }

    public override void UseMemoryOf(ILayerBackend backend)
    {
        if (_element == CacheElement.Single)
        {
            _memory.Backend = backend;
        }
    }

    public override void Store(int head, int slot, float* value)
    {
        byte* target = _memory.Get(head, slot);
        var source = new ReadOnlySpan<float>(value, HeadSize);
        switch (_element)
        {
            case CacheElement.Single:
                source.CopyTo(new Span<float>(target, HeadSize));
                break;

            case CacheElement.BFloat16:
                RoundKernels.Default.Run(value, (ushort*)target, HeadSize);
                break;

            default:
                TensorPrimitives.ConvertToHalf(source, new Span<Half>(target, HeadSize));
                _hasSpecial |= !(MathF.Abs(TensorPrimitives.MaxMagnitude(source)) < HalfLimit); // it keeps the sign
                break;
        }
    }

    public override void Accumulate(
        AttentionKernel kernel, int head, SlotRange range, float* weights, int rows, nint weightStride, float* outputs, float* scratch)
    {
        if (_element != CacheElement.Half || _hasSpecial)
        {
            base.Accumulate(kernel, head, range, weights, rows, weightStride, outputs, scratch);
            return;
        }

        // Weights are at most 1, so that nothing becomes infinite.
        for (int row = 0; row < rows; row++)
        {
            var some = new Span<float>(weights + (row * weightStride), range.End - range.Start);
            TensorPrimitives.Multiply(some, AttentionKernel.HalfScale, some);
        }

        base.Accumulate(kernel.OfScaledHalves, head, range, weights, rows, weightStride, outputs, scratch);
    }

    public override CacheSpan Read(int head, int slot, int count, float* scratch) => new(_memory.Get(head, slot), _element);

    public override ValueStore Fork(int slots) => new DenseValues(this, slots);
}
