using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Codecs.Files;

namespace KQuant.Codecs;

/// <summary>A view of the bytes of one plane of a tensor, for <see cref="QuantizedTensor.FromPlanes"/>.</summary>
public readonly unsafe struct TensorPlane
{
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly byte* _pointer;
    private readonly object? _lifetime;

    private TensorPlane(ReadOnlyMemory<byte> memory, byte* pointer, long byteCount, object? lifetime)
    {
        _memory = memory;
        _pointer = pointer;
        _lifetime = lifetime;
        ByteCount = byteCount;
    }

    /// <summary>Bytes of the plane.</summary>
    public long ByteCount { get; }

    internal bool IsMapped => _lifetime is MappedFile or QuantizedTensor { IsMapped: true };

    internal bool IsGone => _lifetime is QuantizedTensor { IsGone: true } or MappedFile { IsDisposed: true };

    /// <summary>The first byte; a null reference where there is none.</summary>
    internal ref readonly byte First => ref _pointer != null ? ref Unsafe.AsRef<byte>(_pointer) : ref MemoryMarshal.GetReference(_memory.Span);

    /// <summary>A view of managed memory, which the caller keeps.</summary>
    /// <param name="memory">The bytes.</param>
    /// <returns>The view.</returns>
    public static TensorPlane FromMemory(ReadOnlyMemory<byte> memory) => new(memory, null, memory.Length, null);

    /// <summary>A view of native memory, as <see cref="QuantizedTensor.FromPointer"/> takes it.</summary>
    /// <param name="pointer">The first byte.</param>
    /// <param name="byteCount">How many there are.</param>
    /// <param name="lifetime">An object that keeps the memory alive while it is reachable and undisposed, or null.</param>
    /// <returns>The view.</returns>
    public static TensorPlane FromPointer(byte* pointer, long byteCount, object? lifetime)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        return pointer != null || byteCount == 0
            ? new TensorPlane(default, pointer, byteCount, lifetime)
            : throw new ArgumentNullException(nameof(pointer));
    }

    /// <summary>A part, which lives no longer than <paramref name="parent"/>.</summary>
    internal TensorPlane Slice(long offset, long byteCount, object parent) => _pointer != null
        ? new TensorPlane(default, _pointer + offset, byteCount, parent)
        : new TensorPlane(_memory.Slice(checked((int)offset), checked((int)byteCount)), null, byteCount, parent);
}
