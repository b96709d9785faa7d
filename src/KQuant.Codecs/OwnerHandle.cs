using System.Runtime.InteropServices;

namespace KQuant.Codecs;

/// <summary>Counts who uses the memory of an owner, and disposes the owner when it was told to and nobody is left.</summary>
internal sealed class OwnerHandle : SafeHandle
{
    private readonly IDisposable _owner;

    /// <summary>Takes an owner over.</summary>
    /// <param name="owner">Disposed once; never by the finalizer, for it has its own.</param>
    public OwnerHandle(IDisposable owner)
        : base(0, ownsHandle: true)
    {
        _owner = owner;
        GC.SuppressFinalize(this);
    }

    public override bool IsInvalid => false;

    protected override bool ReleaseHandle()
    {
        _owner.Dispose();
        return true;
    }
}
