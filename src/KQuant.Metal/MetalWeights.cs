using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <summary>Weights in a buffer of the device: pages of a mapped file as they are, or a copy.</summary>
internal sealed unsafe class MetalWeights : BackendWeights
{
    private MetalWeights(QuantizedTensor tensor, DeviceBuffer buffer, long offset, bool isCopy)
        : base(tensor)
    {
        Buffer = buffer;
        Offset = offset;
        IsCopy = isCopy;
    }

    /// <summary>The buffer.</summary>
    public DeviceBuffer Buffer { get; }

    /// <summary>Where the first block begins in it.</summary>
    public long Offset { get; }

    /// <summary>Whether the bytes were copied.</summary>
    public bool IsCopy { get; }

    /// <summary>Brings weights to a device.</summary>
    public static MetalWeights Upload(MetalDevice device, QuantizedTensor tensor)
    {
        using TensorLease lease = tensor.Acquire();
        fixed (byte* bytes = &lease.Codes)
        {
            return Wrap(device, tensor, bytes) ?? Copy(device, tensor, bytes);
        }
    }

    /// <summary>That the weights are still wanted; their memory is there as long as the buffer is.</summary>
    /// <exception cref="ObjectDisposedException">The tensor or its file was disposed.</exception>
    public void ThrowIfGone()
    {
        if (!IsCopy)
        {
            Tensor.ThrowIfDisposed();
        }
    }

    protected override void Dispose(bool disposing) => Buffer.Dispose();

    // Pages are whole beyond both ends of a tensor only inside a mapping. Shaders read 16 bits at a time, floats 32.
    private static MetalWeights? Wrap(MetalDevice device, QuantizedTensor tensor, byte* bytes)
    {
        int alignment = tensor.Format == QuantFormat.F32 ? 4 : 2;
        if (!tensor.IsMapped || (nint)bytes % alignment != 0)
        {
            return null;
        }

        nint page = Environment.SystemPageSize;
        nint offset = (nint)bytes % page;
        long length = (offset + tensor.ByteCount + page - 1) / page * page;
        return device.WrapPages(bytes - offset, length, tensor.Hold) is { } buffer ? new MetalWeights(tensor, buffer, offset, isCopy: false) : null;
    }

    private static MetalWeights Copy(MetalDevice device, QuantizedTensor tensor, byte* bytes)
    {
        DeviceBuffer buffer = device.CreateBuffer(tensor.ByteCount);
        System.Buffer.MemoryCopy(bytes, buffer.Contents, buffer.Length, tensor.ByteCount);
        return new MetalWeights(tensor, buffer, 0, isCopy: true);
    }
}
