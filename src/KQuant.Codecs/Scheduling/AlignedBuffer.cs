using System.Runtime.InteropServices;

namespace KQuant.Codecs.Scheduling;

/// <summary>
/// Native memory on a cache line boundary that grows to what was asked of it at most and is kept: after the first product of a size
/// nothing is allocated. One thread uses it at a time.
/// </summary>
internal sealed unsafe class AlignedBuffer : IDisposable
{
    /// <summary>Bytes of a cache line, and of the widest vector.</summary>
    public const int Alignment = 64;

    private byte* _pointer;
    private nint _length;

    ~AlignedBuffer() => Free();

    /// <summary>Bytes held.</summary>
    public nint Length => _length;

    /// <summary>Rounds a byte count up to whole cache lines, so that areas behind each other stay aligned.</summary>
    public static nint RoundUp(nint bytes) => (bytes + Alignment - 1) & ~(nint)(Alignment - 1);

    /// <summary>At least <paramref name="bytes"/> bytes. The content, and every pointer given out before, is lost when it has to grow.</summary>
    public byte* Get(nint bytes)
    {
        if (bytes > _length)
        {
            Free();
            _pointer = (byte*)NativeMemory.AlignedAlloc((nuint)RoundUp(bytes), Alignment);
            _length = RoundUp(bytes);
        }

        return _pointer;
    }

    /// <summary>Room for <paramref name="count"/> values.</summary>
    public T* Get<T>(nint count)
        where T : unmanaged => (T*)Get(checked(count * sizeof(T)));

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_pointer);
        _pointer = null;
        _length = 0;
    }
}
