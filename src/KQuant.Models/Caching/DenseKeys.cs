using System.Numerics.Tensors;
using KQuant.Codecs;
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

    /// <summary>Whether something was stored that binary16 has no number for.</summary>
    private volatile bool _hasSpecial;

    /// <param name="heads">Key heads.</param>
    /// <param name="headSize">Values of a head.</param>
    /// <param name="element">What a number is.</param>
    public DenseKeys(int heads, int headSize, CacheElement element)
        : this(heads, headSize, element, new SlotMemory(heads, headSize * element.GetSize()))
    {
    }

    private DenseKeys(int heads, int headSize, CacheElement element, SlotMemory memory)
        : base(heads, headSize) => (_element, _memory) = (element, memory);

    public override SlotMemory Memory => _memory;

    /// <summary>That of the base, and room for queries.</summary>
    public override int ScratchLength => base.ScratchLength + (_element == CacheElement.Half ? HeadSize * MaxScaledRows : 0);

    protected override bool Mark
    {
        get => _hasSpecial;
        set => _hasSpecial = value;
    }

    /// <summary>Rows of queries that are scaled at once.</summary>
    private static int MaxScaledRows => 64;

    public override void UseMemoryOf(ILayerBackend backend)
    {
        if (_element == CacheElement.Single)
        {
            _memory.Backend = backend;
        }
    }

    public override void Store(int head, int slot, float* key)
    {
        byte* block = _memory.Get(head, slot / BlockSize * BlockSize);
        int lane = slot % BlockSize;
        switch (_element)
        {
            case CacheElement.Single:
                float* floats = (float*)block + lane;
                for (int i = 0; i < HeadSize; i++)
                {
                    floats[i * BlockSize] = key[i];
                }

                break;

            case CacheElement.BFloat16:
                BFloat16* bfloats = (BFloat16*)block + lane;
                for (int i = 0; i < HeadSize; i++)
                {
                    bfloats[i * BlockSize] = (BFloat16)key[i];
                }

                break;

            default:
                Half* halves = (Half*)block + lane;
                bool isFinite = true;
                for (int i = 0; i < HeadSize; i++)
                {
                    Half half = (Half)key[i];
                    halves[i * BlockSize] = half;
                    isFinite &= Half.IsFinite(half);
                }

                _hasSpecial |= !isFinite;
                break;
        }
    }

    public override void Score(
        AttentionKernel kernel, int head, SlotRange range, float* queries, int rows, float* scores, nint stride, float* scratch)
    {
        if (_element != CacheElement.Half || _hasSpecial)
        {
            base.Score(kernel, head, range, queries, rows, scores, stride, scratch);
            return;
        }

        float* scaled = scratch + base.ScratchLength;
        for (int row = 0; row < rows; row += MaxScaledRows)
        {
            int count = Math.Min(MaxScaledRows, rows - row);
            var some = new ReadOnlySpan<float>(queries + ((long)row * HeadSize), count * HeadSize);
            bool isScaled = TryScale(some, new Span<float>(scaled, some.Length));
            base.Score(
                isScaled ? kernel.OfScaledHalves : kernel, head, range, isScaled ? scaled : queries + ((long)row * HeadSize), count,
                scores + (row * stride), stride, scratch);
        }
    }

    public override CacheSpan Read(int head, int block, int count, float* scratch) => new(_memory.Get(head, block * BlockSize), _element);

    public override KeyStore Fork(int slots) => new DenseKeys(Heads, HeadSize, _element, _memory.Fork(slots)) { _hasSpecial = _hasSpecial };

    // Not for queries so large that their products with 2^112 are infinite.
    private static bool TryScale(ReadOnlySpan<float> queries, Span<float> scaled)
    {
        TensorPrimitives.Multiply(queries, AttentionKernel.HalfScale, scaled);
        return float.IsFinite(TensorPrimitives.MaxMagnitude((ReadOnlySpan<float>)scaled));
    }
}
