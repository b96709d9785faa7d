using System.Runtime.InteropServices;

namespace KQuant.Models.Transformers;

/// <summary>Native floats on a cache line boundary that grow to what was asked of them and are kept.</summary>
internal sealed unsafe class FloatBuffer : IDisposable
{
    private const int Alignment = 64;

    private nint _length;

    ~FloatBuffer() => Free();

    public float* Pointer { get; private set; }

    /// <summary>The first values. The content is lost when the buffer has to grow.</summary>
    public Span<float> Get(long length)
    {
        Reserve(length);
        return new Span<float>(Pointer, checked((int)length));
    }

    /// <summary>Makes room.</summary>
    public float* Reserve(long length)
    {
        if (length > _length)
        {
            Free();
            Pointer = (float*)NativeMemory.AlignedAlloc(checked((nuint)length * sizeof(float)), Alignment);
            _length = (nint)length;
        }

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
