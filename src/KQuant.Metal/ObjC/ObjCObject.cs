using System.Runtime.InteropServices;

namespace KQuant.Metal.ObjC;

/// <summary>An object that was handed over (by <c>new...</c>, <c>alloc</c>, <c>copy</c>, <c>MTLCreate...</c>) and is released once.</summary>
internal sealed class ObjCObject : SafeHandle
{
    private readonly IDisposable? _memory;

    private ObjCObject(nint handle, IDisposable? memory)
        : base(0, ownsHandle: true)
    {
        SetHandle(handle);
        _memory = memory;
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>The address, for a message. Whoever sends it keeps the object alive.</summary>
    public nint Id
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <summary>Takes an object over; null for nil.</summary>
    /// <param name="handle">The object.</param>
    /// <param name="memory">What it looks at and must not outlive; disposed behind it.</param>
    public static ObjCObject? Own(nint handle, IDisposable? memory = null) => handle == 0 ? null : new ObjCObject(handle, memory);

    protected override bool ReleaseHandle()
    {
        ObjCRuntime.SendVoid(handle, Selectors.Release);
        _memory?.Dispose();
        return true;
    }
}
