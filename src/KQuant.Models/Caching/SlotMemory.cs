using System.Runtime.InteropServices;

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

    private byte* _memory;

    ~SlotMemory() => Free();

    /// <summary>Slots of every head.</summary>
    public int Capacity { get; private set; }

    /// <summary>Bytes held.</summary>
    public long ByteCount => (long)heads * slotBytes * Capacity;

    /// <summary>Where a slot begins.</summary>
    public byte* Get(int head, int slot) => _memory + ((((long)head * Capacity) + slot) * slotBytes);

    /// <summary>Makes room for at least so many slots; what is there stays.</summary>
    public void Reserve(int capacity)
    {
        if (capacity > Capacity)
        {
            byte* memory = Copy(capacity, Capacity);
            Free();
            _memory = memory;
            Capacity = capacity;
        }
    }

    /// <summary>Memory of its own with the same first slots.</summary>
    public SlotMemory Fork(int slots)
    {
        var fork = new SlotMemory(heads, slotBytes);
        if (slots > 0)
        {
            fork._memory = Copy(slots, Math.Min(slots, Capacity));
            fork.Capacity = slots;
        }

        return fork;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private byte* Copy(int capacity, int slots)
    {
        nuint headBytes = checked((nuint)slotBytes * (nuint)capacity);
        nuint bytes = checked(headBytes * (nuint)heads);
        byte* target = (byte*)NativeMemory.AlignedAlloc(bytes, Alignment);
        NativeMemory.Clear(target, bytes);
        for (int head = 0; head < heads && slots > 0; head++)
        {
            NativeMemory.Copy(Get(head, 0), target + ((nuint)head * headBytes), (nuint)slotBytes * (nuint)slots);
        }

        GC.KeepAlive(this);
        return target;
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}
