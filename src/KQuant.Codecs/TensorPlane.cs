using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Codecs.Files;
using Microsoft.Win32.SafeHandles;

namespace KQuant.Codecs;

/// <summary>A view of the bytes of one plane of a tensor, for <see cref="QuantizedTensor.FromPlanes"/>.</summary>
public readonly unsafe struct TensorPlane
{
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly SafeBuffer? _buffer;
    private readonly long _offset;

    private TensorPlane(ReadOnlyMemory<byte> memory)
    {
        _memory = memory;
        ByteCount = memory.Length;
    }

    private TensorPlane(SafeBuffer buffer, long offset, long byteCount)
    {
        _buffer = buffer;
        _offset = offset;
        ByteCount = byteCount;
    }

    /// <summary>Bytes of the plane.</summary>
    public long ByteCount { get; }

    /// <summary>Whether whole pages around the bytes can be read.</summary>
    internal bool IsMapped => _buffer is SafeMemoryMappedViewHandle or NativeBlock { IsWholePages: true };

    internal bool IsGone => _buffer is { IsClosed: true };

    /// <summary>The native memory, if it is native.</summary>
    internal SafeBuffer? Buffer => _buffer;

    /// <summary>The first byte, which nobody keeps in place; a null reference where there is none.</summary>
    internal ref readonly byte UnsafeFirst
    {
        get
        {
            ref readonly byte first = ref MemoryMarshal.GetReference(_memory.Span);
            return ref _buffer is null ? ref first : ref Unsafe.AsRef<byte>((byte*)_buffer.DangerousGetHandle() + _offset);
        }
    }

    /// <summary>A view of managed memory, which the caller keeps.</summary>
    /// <param name="memory">The bytes.</param>
    /// <returns>The view.</returns>
    public static TensorPlane FromMemory(ReadOnlyMemory<byte> memory) => new(memory);

    /// <summary>
    /// A view of native memory, as <see cref="QuantizedTensor.FromBuffer"/> takes it: every operation holds the buffer while it lasts.
    /// </summary>
    /// <param name="buffer">The memory; it stays the caller's, who may dispose it at any time.</param>
    /// <param name="offset">Where the plane begins in it.</param>
    /// <param name="byteCount">Bytes of the plane.</param>
    /// <returns>The view.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bytes do not lie inside the buffer.</exception>
    /// <exception cref="ArgumentException">The buffer is no memory: it was never initialized, or its handle is invalid.</exception>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public static TensorPlane FromBuffer(SafeBuffer buffer, long offset, long byteCount)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        ObjectDisposedException.ThrowIf(buffer.IsClosed, buffer);
        if (buffer.IsInvalid)
        {
            Throw.InvalidBuffer(nameof(buffer));
        }

        ulong length = buffer.ByteLength;
        if ((ulong)offset > length || (ulong)byteCount > length - (ulong)offset)
        {
            Throw.RangeOutsideBuffer(offset, byteCount, length, nameof(offset));
        }

        return new TensorPlane(buffer, offset, byteCount);
    }

    /// <summary>A part.</summary>
    internal TensorPlane Slice(long offset, long byteCount) => _buffer is not null
        ? new TensorPlane(_buffer, _offset + offset, byteCount)
        : new TensorPlane(_memory.Slice(checked((int)offset), checked((int)byteCount)));

    /// <summary>The first byte, which stays readable until what comes with it is given back.</summary>
    /// <param name="held">A buffer whose pointer is to be released, or null.</param>
    /// <param name="pin">To be disposed.</param>
    /// <returns>The first byte: of an array if there is nothing to give back, so that the caller has to pin it.</returns>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    internal ref readonly byte Acquire(out SafeBuffer? held, out MemoryHandle pin)
    {
        held = null;
        pin = default;
        if (_buffer is not null)
        {
            byte* pointer = null;
            _buffer.AcquirePointer(ref pointer);
            held = _buffer;
            return ref Unsafe.AsRef<byte>(pointer + _offset);
        }

        if (!_memory.IsEmpty && !MemoryMarshal.TryGetArray(_memory, out _))
        {
            pin = _memory.Pin();
            return ref Unsafe.AsRef<byte>(pin.Pointer);
        }

        return ref MemoryMarshal.GetReference(_memory.Span);
    }
}
