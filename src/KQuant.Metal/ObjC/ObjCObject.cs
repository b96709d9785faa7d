using System.Runtime.InteropServices;

namespace KQuant.Metal.ObjC;

/// <summary>An object that was handed over (by <c>new...</c>, <c>alloc</c>, <c>copy</c>, <c>MTLCreate...</c>) and is released once.</summary>
internal sealed class ObjCObject : SafeHandle
{
    private ObjCObject(nint handle)
        : base(0, ownsHandle: true) => SetHandle(handle);

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
    public static ObjCObject? Own(nint handle) => handle == 0 ? null : new ObjCObject(handle);

    protected override bool ReleaseHandle()
    {
        ObjCRuntime.SendVoid(handle, Selectors.Release);
        return true;
    }
}
