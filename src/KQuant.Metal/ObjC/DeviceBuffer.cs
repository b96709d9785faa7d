namespace KQuant.Metal.ObjC;

/// <summary>An <c>MTLBuffer</c> in memory that processor and GPU share.</summary>
internal sealed unsafe class DeviceBuffer(ObjCObject buffer, long length) : IDisposable
{
    /// <summary>The object.</summary>
    public ObjCObject Object { get; } = buffer;

    /// <summary>Bytes.</summary>
    public long Length { get; } = length;

    /// <summary>The first byte.</summary>
    public byte* Contents { get; } = (byte*)ObjCRuntime.SendForPointer(buffer.Id, Selectors.Contents);

    /// <summary>The content as numbers.</summary>
    public Span<T> Values<T>()
        where T : unmanaged
    {
        ObjectDisposedException.ThrowIf(Object.IsClosed, this);
        return new Span<T>(Contents, checked((int)(Length / sizeof(T))));
    }

    /// <summary>Releases it; work that is queued keeps it alive until it ran.</summary>
    public void Dispose() => Object.Dispose();
}
