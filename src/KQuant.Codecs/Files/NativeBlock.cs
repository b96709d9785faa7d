using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>Unmanaged memory of any size, which lives until it is disposed or collected and nobody who acquired it is left.</summary>
internal sealed unsafe class NativeBlock : SafeBuffer
{
    private readonly long _pressure;

    /// <summary>Takes memory.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="wholePages">Whether nothing else may lie on the memory's pages.</param>
    /// <exception cref="OutOfMemoryException">There is not so much.</exception>
    public NativeBlock(long length, bool wholePages = false)
        : base(ownsHandle: true)
    {
        nuint alignment = wholePages ? (nuint)Environment.SystemPageSize : 64;
        nuint bytes = checked(((nuint)Math.Max(length, 1) + alignment - 1) / alignment * alignment);
        SetHandle((nint)NativeMemory.AlignedAlloc(bytes, alignment));
        Initialize((ulong)length);
        IsWholePages = wholePages;
        _pressure = (long)bytes;
        GC.AddMemoryPressure(_pressure);
    }

    /// <summary>Whether the memory begins where a page begins, and has the rest of the last one to itself.</summary>
    public bool IsWholePages { get; }

    /// <summary>The first byte. Whoever uses it keeps this object reachable and undisposed.</summary>
    public byte* Pointer => (byte*)handle;

    protected override bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        GC.RemoveMemoryPressure(_pressure);
        return true;
    }
}
