using System.Runtime.ConstrainedExecution;
using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>Unmanaged memory of any size, which lives as long as someone holds this object.</summary>
internal sealed unsafe class NativeBlock : CriticalFinalizerObject
{
    private readonly long _length;

    public NativeBlock(long length)
    {
        _length = length;
        Pointer = (byte*)NativeMemory.AlignedAlloc(checked((nuint)Math.Max(length, 1)), alignment: 64);
        GC.AddMemoryPressure(Math.Max(length, 1));
    }

    ~NativeBlock()
    {
        if (Pointer != null)
        {
            NativeMemory.AlignedFree(Pointer);
            GC.RemoveMemoryPressure(Math.Max(_length, 1));
        }
    }

    public byte* Pointer { get; }
}
