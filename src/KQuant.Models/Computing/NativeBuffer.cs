using System.Runtime.InteropServices;

namespace KQuant.Models.Computing;

/// <summary>Native memory on a cache line boundary that grows to what was asked of it and is kept.</summary>
internal sealed unsafe class NativeBuffer<T> : IDisposable
    where T : unmanaged
{
    private const int Alignment = 64;

    private nint _length;

    ~NativeBuffer() => Free();

    public T* Pointer { get; private set; }

    /// <summary>The first values. The content is lost when the buffer has to grow.</summary>
    public Span<T> Get(long length)
    {
        Reserve(length);
        return new Span<T>(Pointer, checked((int)length));
    }

    /// <summary>Makes room.</summary>
    public T* Reserve(long length)
    {
        if (length > _length)
        {
            Free();
            Pointer = (T*)NativeMemory.AlignedAlloc(checked((nuint)length * (nuint)sizeof(T)), Alignment);
            _length = (nint)length;
        }

        return Pointer;
    }

    /// <summary>Makes room, and copies values to it.</summary>
    public T* Copy(T* source, long length)
    {
        Reserve(length);
        NativeMemory.Copy(source, Pointer, checked((nuint)length * (nuint)sizeof(T)));
        return Pointer;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(Pointer);
        Pointer = null;
        _length = 0;
    }
}
