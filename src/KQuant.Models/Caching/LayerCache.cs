using KQuant.Matmul.Backends;

namespace KQuant.Models.Caching;

/// <summary>The keys and values of one layer with softmax attention: where positions lie, and how they are stored.</summary>
/// <param name="slots">Where positions lie.</param>
/// <param name="keys">How keys are stored.</param>
/// <param name="values">How values are stored.</param>
/// <param name="format">The names of how they are.</param>
internal sealed class LayerCache(SlotMap slots, KeyStore keys, ValueStore values, LayerCacheFormat format) : LayerState
{
    private const int LeastCapacity = 256;

    private int _capacity;

    /// <summary>The first position behind the kept ones that no step has overwritten, also none that failed.</summary>
    private int _firstStored;

    public SlotMap Slots => slots;

    public KeyStore Keys => keys;

    public ValueStore Values => values;

    public override long ByteCount => keys.ByteCount + values.ByteCount;

    public override string Layout =>
        $"keys in {format.Keys} and values in {format.Values} of {keys.Heads} heads of {keys.HeadSize}"
        + (slots.RingSize == 0 ? "" : $", the first {slots.Keep} and {slots.RingSize} more");

    /// <summary>Keys and values as a backend sees them; null if they are not where it reaches them.</summary>
    public BackendCache? OnBackend =>
        keys.Buffer is { } keyBuffer && values.Buffer is { } valueBuffer ? new BackendCache(keyBuffer, valueBuffer, _capacity, values.Stride) : null;

    /// <summary>Tells its stores to keep float32 where a backend reaches it.</summary>
    public void UseMemoryOf(ILayerBackend backend)
    {
        keys.UseMemoryOf(backend);
        values.UseMemoryOf(backend);
    }

    public override long GetByteCount(int length)
    {
        int count = RoundUp(slots.CountSlots(length));
        return keys.Memory.GetByteCount(count) + values.Memory.GetByteCount(count);
    }

    public override long GetStoredByteCount(int length)
    {
        int count = RoundUp(slots.CountSlots(length));
        return sizeof(int) + keys.GetStoredByteCount(count) + values.GetStoredByteCount(count);
    }

    public override void Reserve(int length)
    {
        if (slots.CountSlots(length) > _capacity)
        {
            ReserveSlots(slots.CountSlots(length));
        }
    }

    public override void Pass(CacheTransfer transfer, int length)
    {
        _firstStored = Math.Max(0, transfer.Pass(_firstStored));
        int count = RoundUp(slots.CountSlots(length));
        keys.Pass(transfer, count);
        values.Pass(transfer, count);
    }

    public override void Prepare(int length, int added, int limit)
    {
        int needed = slots.CountSlots(length + added);
        if (needed > _capacity)
        {
            int most = slots.CountSlots(limit);
            ReserveSlots((int)Math.Min(Math.Max(needed, Math.Max(LeastCapacity, _capacity * 2L)), Math.Max(most, needed)));
        }

        _firstStored = Math.Max(_firstStored, slots.FirstStored(length + added));
    }

    public override bool CanTruncate(int length) => length == 0 || _firstStored <= Math.Max(slots.Keep, slots.FirstVisible(length));

    public override void Truncate(int length) => _firstStored = length == 0 ? 0 : _firstStored;

    public override LayerState Fork(int length)
    {
        int capacity = RoundUp(slots.CountSlots(length));
        return new LayerCache(slots, keys.Fork(capacity), values.Fork(capacity), format) { _capacity = capacity, _firstStored = length == 0 ? 0 : _firstStored };
    }

    public override void Dispose()
    {
        keys.Dispose();
        values.Dispose();
    }

    private static int RoundUp(int count) => checked(count + CacheStore.BlockSize - 1) / CacheStore.BlockSize * CacheStore.BlockSize;

    private void ReserveSlots(int count)
    {
        int capacity = RoundUp(count);
        keys.Reserve(capacity);
        values.Reserve(capacity);
        _capacity = capacity;
    }
}
