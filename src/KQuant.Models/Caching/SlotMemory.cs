using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Matmul.Backends;
using KQuant.Models.Diagnostics;

namespace KQuant.Models.Caching;

/// <summary>
/// Native memory with as many slots for every head, [head][slot][bytes of a slot], zero where nothing was written. It grows and is copied
/// head by head; what the bytes mean is the matter of who has it.
/// </summary>
/// <param name="heads">Heads.</param>
/// <param name="slotBytes">Bytes of a slot.</param>
internal sealed unsafe class SlotMemory(int heads, int slotBytes) : IDisposable
{
    private const int Alignment = 64;
    private const int MostBytesAtOnce = 1 << 20;

    private byte* _memory;
    private BackendBuffer? _buffer;
    private long _counted;

    ~SlotMemory() => Free(disposing: false);

    /// <summary>Whose memory it is to be, if there is room; null for the processor's own.</summary>
    public ILayerBackend? Backend { get; set; }

    /// <summary>The memory as the backend sees it; null if it is the processor's own.</summary>
    public BackendBuffer? Buffer => _buffer;

    /// <summary>Slots of every head.</summary>
    public int Capacity { get; private set; }

    /// <summary>Bytes held.</summary>
    public long ByteCount => GetByteCount(Capacity);

    /// <summary>Where a slot begins.</summary>
    public byte* Get(int head, int slot) => _memory + ((((long)head * Capacity) + slot) * slotBytes);

    /// <summary>Makes room for at least so many slots; what is there stays.</summary>
    public void Reserve(int capacity)
    {
        if (capacity > Capacity)
        {
            byte* memory = Copy(capacity, Capacity, out BackendBuffer? buffer);
            Free(disposing: true);
            _memory = memory;
            _buffer = buffer;
            Capacity = capacity;
            Count(ByteCount);
        }
    }

    /// <summary>Bytes of so many slots.</summary>
    public long GetByteCount(int slots) => (long)heads * slotBytes * slots;

    /// <summary>Writes the first slots, or fills them; there is room for them.</summary>
    public void Pass(CacheTransfer transfer, int slots)
    {
        for (int head = 0; head < heads; head++)
        {
            byte* start = Get(head, 0);
            long bytes = (long)slotBytes * slots;
            for (long done = 0; done < bytes; done += MostBytesAtOnce)
            {
                transfer.Pass(new Span<byte>(start + done, (int)Math.Min(MostBytesAtOnce, bytes - done)));
            }
        }

        GC.KeepAlive(this);
    }

    /// <summary>Memory of its own with the same first slots.</summary>
    public SlotMemory Fork(int slots)
    {
        var fork = new SlotMemory(heads, slotBytes) { Backend = Backend };
        if (slots > 0)
        {
            fork._memory = Copy(slots, Math.Min(slots, Capacity), out fork._buffer);
            fork.Capacity = slots;
            fork.Count(fork.ByteCount);
        }

        return fork;
    }

    public void Dispose()
    {
        Free(disposing: true);
        GC.SuppressFinalize(this);
    }

    private byte* Copy(int capacity, int slots, out BackendBuffer? buffer)
    {
        nuint headBytes = checked((nuint)slotBytes * (nuint)capacity);
        nuint bytes = checked(headBytes * (nuint)heads);
        buffer = Allocate(bytes);

        // A backend's buffers do not move.
        byte* target = buffer is null
            ? (byte*)NativeMemory.AlignedAlloc(bytes, Alignment)
            : (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(buffer.Values));
        NativeMemory.Clear(target, bytes);
        for (int head = 0; head < heads && slots > 0; head++)
        {
            NativeMemory.Copy(Get(head, 0), target + ((nuint)head * headBytes), (nuint)slotBytes * (nuint)slots);
        }

        GC.KeepAlive(this);
        return target;
    }

    private BackendBuffer? Allocate(nuint bytes)
    {
        try
        {
            return bytes / sizeof(float) > int.MaxValue ? null : Backend?.Allocate((int)(bytes / sizeof(float)));
        }
        catch (BackendException)
        {
            // The device has no room: the processor attends.
            return null;
        }
    }

    // A finalizer leaves the buffer to its own.
    private void Free(bool disposing)
    {
        if (_buffer is null)
        {
            NativeMemory.AlignedFree(_memory);
        }
        else if (disposing)
        {
            _buffer.Dispose();
        }

        _memory = null;
        _buffer = null;
        Count(0);
    }

    private void Count(long bytes)
    {
        CacheMeter.Add(bytes - _counted);
        _counted = bytes;
    }
}
