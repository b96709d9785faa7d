using KQuant.Codecs;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models.Tests;

/// <summary>
/// Keys and values as rows of q8_0 blocks, which nothing but decoding is written for; or, rounded, the numbers that such blocks decode to
/// in an ordinary cache.
/// </summary>
internal sealed class Q8Format(bool isRounded) : CacheFormat("q8_0")
{
    private static readonly QuantCodec Codec = QuantCodec.Get(QuantFormat.Q8_0);

    internal override KeyStore CreateKeys(int heads, int headSize) =>
        isRounded ? new RoundedKeys(heads, headSize) : new BlockKeys(heads, headSize, new SlotMemory(heads, Bytes(headSize)));

    internal override ValueStore CreateValues(int heads, int headSize) =>
        isRounded ? new RoundedValues(heads, headSize) : new BlockValues(heads, headSize, new SlotMemory(heads, Bytes(headSize)));

    private static int Bytes(int headSize) => (int)Codec.GetByteCount(headSize);

    private static unsafe void Round(float* values, int count)
    {
        Span<byte> blocks = stackalloc byte[Bytes(count)];
        Codec.Encode(new ReadOnlySpan<float>(values, count), blocks);
        Codec.Decode(blocks, new Span<float>(values, count));
    }

    private sealed unsafe class BlockKeys(int heads, int headSize, SlotMemory memory) : KeyStore(heads, headSize)
    {
        public override SlotMemory Memory => memory;

        public override void Store(int head, int slot, float* key) =>
            Codec.Encode(new ReadOnlySpan<float>(key, HeadSize), new Span<byte>(memory.Get(head, slot), Bytes(HeadSize)));

        public override CacheSpan Read(int head, int block, int count, float* scratch)
        {
            Span<float> key = stackalloc float[HeadSize];
            for (int slot = 0; slot < count * BlockSize; slot++)
            {
                Codec.Decode(new ReadOnlySpan<byte>(memory.Get(head, (block * BlockSize) + slot), Bytes(HeadSize)), key);
                for (int i = 0; i < HeadSize; i++)
                {
                    scratch[(((slot / BlockSize * HeadSize) + i) * BlockSize) + (slot % BlockSize)] = key[i];
                }
            }

            return new CacheSpan(scratch, CacheElement.Single);
        }

        public override KeyStore Fork(int slots) => new BlockKeys(Heads, HeadSize, memory.Fork(slots));
    }

    private sealed unsafe class BlockValues(int heads, int headSize, SlotMemory memory) : ValueStore(heads, headSize)
    {
        public override SlotMemory Memory => memory;

        public override void Store(int head, int slot, float* value) =>
            Codec.Encode(new ReadOnlySpan<float>(value, HeadSize), new Span<byte>(memory.Get(head, slot), Bytes(HeadSize)));

        public override CacheSpan Read(int head, int slot, int count, float* scratch)
        {
            for (int i = 0; i < count; i++)
            {
                var row = new Span<float>(scratch + (i * Stride), Stride);
                Codec.Decode(new ReadOnlySpan<byte>(memory.Get(head, slot + i), Bytes(HeadSize)), row[..HeadSize]);
                row[HeadSize..].Clear();
            }

            return new CacheSpan(scratch, CacheElement.Single);
        }

        public override ValueStore Fork(int slots) => new BlockValues(Heads, HeadSize, memory.Fork(slots));
    }

    private sealed unsafe class RoundedKeys(int heads, int headSize) : KeyStore(heads, headSize)
    {
        private readonly DenseKeys _keys = new(heads, headSize, CacheElement.Single);

        public override SlotMemory Memory => _keys.Memory;

        public override void Store(int head, int slot, float* key)
        {
            Round(key, HeadSize);
            _keys.Store(head, slot, key);
        }

        public override CacheSpan Read(int head, int block, int count, float* scratch) => _keys.Read(head, block, count, scratch);

        public override KeyStore Fork(int slots) => throw new NotSupportedException();
    }

    private sealed unsafe class RoundedValues(int heads, int headSize) : ValueStore(heads, headSize)
    {
        private readonly DenseValues _values = new(heads, headSize, CacheElement.Single);

        public override SlotMemory Memory => _values.Memory;

        public override void Store(int head, int slot, float* value)
        {
            Round(value, HeadSize);
            _values.Store(head, slot, value);
        }

        public override CacheSpan Read(int head, int slot, int count, float* scratch) =>
            _values.Read(head, slot, count, scratch);

        public override ValueStore Fork(int slots) => throw new NotSupportedException();
    }
}
