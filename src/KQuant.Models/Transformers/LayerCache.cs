using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace KQuant.Models.Transformers;

/// <summary>
/// Keys and values of one layer. Keys lie in blocks of sixteen positions with the positions innermost, [head][block][value][16], so that
/// scores of sixteen positions are one vector; values lie in rows, [head][slot][value], padded to whole vectors.
/// </summary>
/// <remarks>
/// A layer that sees everything has a slot for every position. One with a window is a ring behind the first <see cref="Keep"/> slots: as
/// many slots as it sees positions, and those that the last tokens of a chunk no longer see but the first do.
/// </remarks>
internal sealed unsafe class LayerCache : IDisposable
{
    /// <summary>Positions of a block.</summary>
    public const int BlockSize = 16;

    private const int Alignment = 64;

    private readonly int _heads;
    private readonly CacheFormat _format;
    private byte* _keys;
    private byte* _values;

    /// <param name="heads">Key and value heads.</param>
    /// <param name="headSize">Values of a head.</param>
    /// <param name="window">Positions seen, <paramref name="keep"/> included; 0 for all.</param>
    /// <param name="keep">Positions at the start that are always seen.</param>
    /// <param name="chunk">The most tokens that are added at once.</param>
    /// <param name="format">How to store.</param>
    public LayerCache(int heads, int headSize, int window, int keep, int chunk, CacheFormat format)
    {
        _heads = heads;
        HeadSize = headSize;
        ValueStride = (headSize + BlockSize - 1) / BlockSize * BlockSize;
        Window = window;
        Keep = window == 0 ? 0 : keep;

        // A window of almost 2^31 positions, which a file may claim, must not make a ring of fewer than none.
        RingSize = window == 0 ? 0 : (int)Math.Min((long)window - Keep + chunk - 1, int.MaxValue - Keep - BlockSize);
        _format = format;
    }

    ~LayerCache() => Free();

    public int HeadSize { get; }

    /// <summary>Values from one row of values to the next.</summary>
    public int ValueStride { get; }

    /// <summary>Positions that a token sees; 0 for all.</summary>
    public int Window { get; }

    /// <summary>Positions at the start that are always seen.</summary>
    public int Keep { get; }

    /// <summary>Slots of the ring behind them; 0 for none.</summary>
    public int RingSize { get; }

    /// <summary>Slots there is memory for.</summary>
    public int Capacity { get; private set; }

    public CacheFormat Format => _format;

    /// <summary>Bytes held.</summary>
    public long ByteCount => ((long)HeadSize + ValueStride) * _heads * Capacity * ElementSize;

    private int ElementSize => _format == CacheFormat.F32 ? sizeof(float) : sizeof(Half);

    /// <summary>Slots that are used when the text has so many positions.</summary>
    public int CountSlots(int positions) => RingSize == 0 ? positions : Math.Min(positions, Keep + RingSize);

    /// <summary>Where a position is stored.</summary>
    public int GetSlot(int position) => RingSize == 0 || position < Keep ? position : Keep + ((position - Keep) % RingSize);

    /// <summary>Makes room for a text of so many positions, at least doubling what there is.</summary>
    public void Reserve(int positions, int limit)
    {
        int slots = CountSlots(positions);
        if (slots <= Capacity)
        {
            return;
        }

        int most = CountSlots(limit);
        int wanted = Math.Min(Math.Max(slots, Math.Max(256, Capacity * 2)), Math.Max(most, slots));
        Grow((wanted + BlockSize - 1) / BlockSize * BlockSize);
    }

    /// <summary>The keys of a block of slots.</summary>
    /// <param name="head">Key and value head.</param>
    /// <param name="block">Number of the block.</param>
    /// <param name="scratch">Room for a block in float32, which it is turned into; null to have it as it is stored.</param>
    public CacheSpan GetKeys(int head, int block, float* scratch)
    {
        long offset = (((long)head * Capacity) + ((long)block * BlockSize)) * HeadSize;
        return Widen(_keys, offset, HeadSize * BlockSize, scratch);
    }

    /// <summary>The values of consecutive slots, <see cref="ValueStride"/> apart; scratch as for <see cref="GetKeys"/>.</summary>
    public CacheSpan GetValues(int head, int slot, int count, float* scratch) =>
        Widen(_values, (((long)head * Capacity) + slot) * ValueStride, count * ValueStride, scratch);

    /// <summary>Stores the key of a position.</summary>
    public void SetKey(int head, int slot, float* key)
    {
        long offset = (((long)head * Capacity) + (slot / BlockSize * BlockSize)) * HeadSize;
        int lane = slot % BlockSize;
        if (_format == CacheFormat.F32)
        {
            float* target = (float*)_keys + offset + lane;
            for (int i = 0; i < HeadSize; i++)
            {
                target[i * BlockSize] = key[i];
            }
        }
        else
        {
            Half* target = (Half*)_keys + offset + lane;
            for (int i = 0; i < HeadSize; i++)
            {
                target[i * BlockSize] = (Half)key[i];
            }
        }
    }

    /// <summary>Stores the value of a position.</summary>
    public void SetValue(int head, int slot, float* value)
    {
        long offset = (((long)head * Capacity) + slot) * ValueStride;
        var source = new ReadOnlySpan<float>(value, HeadSize);
        if (_format == CacheFormat.F32)
        {
            source.CopyTo(new Span<float>((float*)_values + offset, HeadSize));
        }
        else
        {
            TensorPrimitives.ConvertToHalf(source, new Span<Half>((Half*)_values + offset, HeadSize));
        }
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private CacheSpan Widen(byte* memory, long offset, int count, float* scratch)
    {
        byte* stored = memory + (offset * ElementSize);
        if (_format == CacheFormat.F32 || scratch is null)
        {
            return new CacheSpan(stored, _format);
        }

        TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(stored, count), new Span<float>(scratch, count));
        return new CacheSpan(scratch, CacheFormat.F32);
    }

    private void Grow(int capacity)
    {
        byte* keys = Copy(_keys, HeadSize, capacity);
        byte* values = Copy(_values, ValueStride, capacity);
        Free();
        _keys = keys;
        _values = values;
        Capacity = capacity;
    }

    // Zeroed: whole blocks are read, also where slots are not yet filled.
    private byte* Copy(byte* source, int stride, int capacity)
    {
        nuint headBytes = checked((nuint)stride * (nuint)capacity * (nuint)ElementSize);
        nuint bytes = checked(headBytes * (nuint)_heads);
        byte* target = (byte*)NativeMemory.AlignedAlloc(bytes, Alignment);
        NativeMemory.Clear(target, bytes);
        nuint oldBytes = (nuint)stride * (nuint)Capacity * (nuint)ElementSize;
        for (int head = 0; head < _heads && oldBytes > 0; head++)
        {
            NativeMemory.Copy(source + ((nuint)head * oldBytes), target + ((nuint)head * headBytes), oldBytes);
        }

        return target;
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_keys);
        NativeMemory.AlignedFree(_values);
        _keys = null;
        _values = null;
    }
}
