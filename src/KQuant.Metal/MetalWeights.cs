using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;

namespace KQuant.Metal;

/// <summary>Weights in a buffer of the device: pages of a mapped file as they are, or a copy.</summary>
internal sealed unsafe class MetalWeights : BackendWeights
{
    private Action<long>? _released;

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

    /// <summary>Bytes that the device holds for it.</summary>
    public long HeldBytes => Buffer.Length;

    /// <summary>The most bytes that the device will hold for a tensor.</summary>
    public static long CountBytes(QuantCodec codec, QuantShape shape) => codec.GetByteCount(shape.TotalWeights) + (2 * Environment.SystemPageSize);

    /// <summary>Brings weights to a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="tensor">The weights.</param>
    /// <param name="copies">Whether to copy pages of a mapped file, too.</param>
    /// <param name="released">Told of the bytes when they are given back.</param>
    public static MetalWeights Upload(MetalDevice device, QuantizedTensor tensor, bool copies, Action<long> released)
    {
        using TensorLease lease = tensor.Acquire();
        fixed (byte* bytes = &lease.Codes)
        {
            MetalWeights weights = (copies ? null : Wrap(device, tensor, bytes)) ?? Copy(device, tensor, bytes);
            weights._released = released;
            return weights;
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

    protected override void Dispose(bool disposing)
    {
        Buffer.Dispose();
        Interlocked.Exchange(ref _released, null)?.Invoke(HeldBytes);
    }

    // Pages are whole beyond both ends of a tensor only inside a mapping. Shaders read 16 bits at a time; 32, where blocks allow it.
    private static MetalWeights? Wrap(MetalDevice device, QuantizedTensor tensor, byte* bytes)
    {
        int alignment = tensor.Codec.BytesPerBlock % 4 == 0 ? 4 : 2;
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
