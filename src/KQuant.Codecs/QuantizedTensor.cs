using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Codecs.Files;

namespace KQuant.Codecs;

/// <summary>
/// A weight matrix, or a stack of them, in wire bytes. It is a view: the bytes belong to a memory-mapped file, an array or a native block,
/// and are never copied. Rows are whole blocks one after the other, experts whole matrices one after the other.
/// </summary>
/// <remarks>
/// Disposing releases the owner it was given, if any. A view must not be used after its owner is gone; a disposed one throws.
/// All members are safe to call from several threads at once, except against <see cref="Dispose"/>.
/// </remarks>
public sealed unsafe class QuantizedTensor : IDisposable
{
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly byte* _pointer;
    private readonly object? _lifetime;
    private IDisposable? _owner;
    private bool _disposed;

    private QuantizedTensor(QuantCodec codec, QuantShape shape, ReadOnlyMemory<byte> memory, byte* pointer, long available)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Experts, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Rows, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Columns, nameof(shape));
        Codec = codec;
        Shape = shape;
        RowByteCount = codec.GetByteCount(shape.Columns);
        ByteCount = checked(RowByteCount * shape.TotalRows);
        if (available != ByteCount)
        {
            Throw.LengthMismatch(codec, $"the memory of a {shape} tensor", available, ByteCount, "memory");
        }

        _memory = memory;
        _pointer = pointer;
    }

    private QuantizedTensor(QuantizedTensor parent, QuantShape shape, long byteOffset)
    {
        Codec = parent.Codec;
        Shape = shape;
        RowByteCount = parent.RowByteCount;
        ByteCount = RowByteCount * shape.TotalRows;
        _lifetime = parent;
        if (parent._pointer != null)
        {
            _pointer = parent._pointer + byteOffset;
        }
        else
        {
            _memory = parent._memory.Slice(checked((int)byteOffset), checked((int)ByteCount));
        }
    }

    private QuantizedTensor(QuantCodec codec, QuantShape shape, byte* pointer, long byteCount, object? lifetime)
        : this(codec, shape, default, pointer, byteCount) => _lifetime = lifetime;

    /// <summary>The codec.</summary>
    public QuantCodec Codec { get; }

    /// <summary>The codec's GGML type, if it has one.</summary>
    public QuantFormat? Format => Codec.Format;

    /// <summary>The logical shape.</summary>
    public QuantShape Shape { get; }

    /// <summary>Wire bytes of one row.</summary>
    public long RowByteCount { get; }

    /// <summary>Wire bytes of the whole tensor; may exceed 2 GiB.</summary>
    public long ByteCount { get; }

    /// <summary>Whether the bytes lie in a mapped file, so that whole pages around them can be read.</summary>
    internal bool IsMapped => _lifetime is MappedFile or QuantizedTensor { IsMapped: true };

    private bool IsGone => _disposed || _lifetime is QuantizedTensor { IsGone: true } or MappedFile { IsDisposed: true };

    /// <summary>A view of managed memory, which the caller keeps.</summary>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="shape">The logical shape.</param>
    /// <param name="memory">Exactly the wire bytes of that shape.</param>
    /// <returns>The view.</returns>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the length is not that of the shape.</exception>
    public static QuantizedTensor FromMemory(QuantCodec codec, QuantShape shape, ReadOnlyMemory<byte> memory)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return new QuantizedTensor(codec, shape, memory, null, memory.Length);
    }

    /// <summary>A view that owns its memory and returns it when disposed. The memory may be longer than the tensor.</summary>
    /// <inheritdoc cref="FromMemory"/>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="shape">The logical shape.</param>
    /// <param name="owner">Owner of the wire bytes.</param>
    public static QuantizedTensor FromOwner(QuantCodec codec, QuantShape shape, IMemoryOwner<byte> owner)
    {
        ArgumentNullException.ThrowIfNull(codec);
        ArgumentNullException.ThrowIfNull(owner);
        long needed = checked(codec.GetByteCount(shape.Columns) * shape.TotalRows);
        ReadOnlyMemory<byte> memory = owner.Memory;
        memory = memory.Length > needed ? memory[..(int)needed] : memory;
        return new QuantizedTensor(codec, shape, memory, null, memory.Length) { _owner = owner };
    }

    /// <summary>
    /// A view of native memory of any size, such as part of a memory-mapped file. This is the one place where the package trusts a pointer:
    /// it must stay readable for <paramref name="byteCount"/> bytes as long as <paramref name="lifetime"/> is reachable and undisposed.
    /// </summary>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="shape">The logical shape.</param>
    /// <param name="pointer">The first wire byte.</param>
    /// <param name="byteCount">Exactly the wire bytes of that shape.</param>
    /// <param name="lifetime">An object that keeps the memory alive while it is reachable, or null.</param>
    /// <returns>The view.</returns>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the length is not that of the shape.</exception>
    public static QuantizedTensor FromPointer(QuantCodec codec, QuantShape shape, byte* pointer, long byteCount, object? lifetime)
    {
        ArgumentNullException.ThrowIfNull(codec);
        if (pointer == null && byteCount != 0)
        {
            throw new ArgumentNullException(nameof(pointer));
        }

        return new QuantizedTensor(codec, shape, pointer, byteCount, lifetime);
    }

    /// <summary>Encodes a tensor into memory of its own.</summary>
    /// <param name="codec">The codec to encode with.</param>
    /// <param name="shape">The logical shape; its wire bytes must fit into one array (2 GiB).</param>
    /// <param name="weights">The weights, row-major.</param>
    /// <param name="options">
    /// Mode, overflow policy and threads. <see cref="EncodeOptions.Importance"/> has one value per column, or one row of them per expert;
    /// <see cref="EncodeOptions.RowLength"/> is ignored.
    /// </param>
    /// <returns>The encoded tensor.</returns>
    /// <exception cref="ArgumentException">A length does not fit the shape.</exception>
    /// <exception cref="InvalidWeightException">A value cannot be encoded; see <see cref="QuantCodec.Encode"/>.</exception>
    public static QuantizedTensor Encode(QuantCodec codec, QuantShape shape, ReadOnlySpan<float> weights, in EncodeOptions options = default)
    {
        ArgumentNullException.ThrowIfNull(codec);
        if (weights.Length != shape.TotalWeights)
        {
            Throw.LengthMismatch(codec, $"the source of a {shape} tensor", weights.Length, shape.TotalWeights, nameof(weights));
        }

        bool perExpert = shape.Experts > 1 && options.Importance.Length == shape.Experts * shape.Columns;
        if (!perExpert && !options.Importance.IsEmpty && options.Importance.Length != shape.Columns)
        {
            Throw.ImportanceLength(codec, options.Importance.Length, shape, nameof(options));
        }

        long byteCount = checked(codec.GetByteCount(shape.Columns) * shape.TotalRows);
        if (byteCount > Array.MaxLength)
        {
            Throw.TooLargeForArray(codec, shape, byteCount, nameof(shape));
        }

        int importanceRows = perExpert ? (int)shape.Experts : 1;
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)byteCount);
        int weightsPerSlice = weights.Length / importanceRows;
        for (int slice = 0; slice < importanceRows; slice++)
        {
            codec.Encode(
                weights.Slice(slice * weightsPerSlice, weightsPerSlice),
                bytes.AsSpan(slice * (bytes.Length / importanceRows)),
                new EncodeOptions
                {
                    Importance = perExpert ? options.Importance.Slice(slice * shape.Columns, shape.Columns) : options.Importance,
                    RowLength = shape.Columns,
                    Mode = options.Mode,
                    Overflow = options.Overflow,
                    MaxThreads = options.MaxThreads,
                    FirstRow = options.FirstRow + (slice * shape.Rows),
                    CancellationToken = options.CancellationToken,
                });
        }

        return FromMemory(codec, shape, bytes);
    }

    /// <summary>Allows <c>fixed (byte* p = tensor)</c> over all <see cref="ByteCount"/> bytes.</summary>
    /// <returns>A reference to the first wire byte; null when the tensor is empty.</returns>
    /// <exception cref="ObjectDisposedException">The tensor was disposed.</exception>
    public ref readonly byte GetPinnableReference()
    {
        ObjectDisposedException.ThrowIf(IsGone, this);
        return ref _pointer != null ? ref Unsafe.AsRef<byte>(_pointer) : ref MemoryMarshal.GetReference(_memory.Span);
    }

    /// <summary>The wire bytes of one row.</summary>
    /// <param name="row">Row number over all experts, 0 to <c>Shape.TotalRows - 1</c>.</param>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row.</exception>
    /// <exception cref="ObjectDisposedException">The tensor was disposed.</exception>
    public ReadOnlySpan<byte> GetRowBytes(long row)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Shape.TotalRows);
        ref byte first = ref Unsafe.AsRef(in GetPinnableReference());
        return MemoryMarshal.CreateReadOnlySpan(ref Unsafe.AddByteOffset(ref first, (nint)(row * RowByteCount)), checked((int)RowByteCount));
    }

    /// <summary>Decodes one row.</summary>
    /// <param name="row">Row number over all experts.</param>
    /// <param name="destination">Exactly <c>Shape.Columns</c> weights.</param>
    /// <exception cref="ArgumentException">The row does not exist or the destination has another length.</exception>
    public void DecodeRow(long row, Span<float> destination) => Codec.Decode(GetRowBytes(row), destination);

    /// <summary>One expert as a matrix of its own; a view, not a copy. It does not outlive this tensor.</summary>
    /// <param name="expert">Expert number, 0 to <c>Shape.Experts - 1</c>.</param>
    /// <returns>A view with one expert.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such expert.</exception>
    public QuantizedTensor Slice(long expert)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(expert, Shape.Experts);
        return new QuantizedTensor(this, Shape with { Experts = 1 }, expert * Shape.Rows * RowByteCount);
    }

    /// <summary>Releases the owner given to <see cref="FromOwner"/>. Memory that was only viewed is left alone.</summary>
    public void Dispose()
    {
        _disposed = true;
        _owner?.Dispose();
        _owner = null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Codec.Name} {Shape}";
}
