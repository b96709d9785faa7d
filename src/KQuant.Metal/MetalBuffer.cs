using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <summary>Floats in memory that processor and GPU share.</summary>
internal sealed class MetalBuffer(DeviceBuffer buffer, int length, Action<long> released) : BackendBuffer(length)
{
    private Action<long>? _released = released;

    /// <summary>The buffer.</summary>
    public DeviceBuffer Buffer { get; } = buffer;

    /// <inheritdoc/>
    public override Span<float> Values => Buffer.Values<float>();

    protected override void Dispose(bool disposing)
    {
        Buffer.Dispose();
        Interlocked.Exchange(ref _released, null)?.Invoke(Buffer.Length);
    }
}
