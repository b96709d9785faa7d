using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KQuant.Codecs;

/// <summary>
/// A weight matrix, or a stack of them, in wire bytes. It is a view: the bytes belong to a memory-mapped file, an array or a native block,
/// and are never copied. Rows are whole blocks one after the other, experts whole matrices one after the other; codecs with scales apart have
/// that in each of their planes.
/// </summary>
/// <remarks>
/// Disposing releases the owner it was given, if any. A view must not be used after its owner is gone; a disposed one throws.
/// All members are safe to call from several threads at once, except against <see cref="Dispose"/>.
/// </remarks>
public sealed unsafe class QuantizedTensor : IDisposable
{
    private readonly TensorPlane _codes;
    private readonly TensorPlane _scales;
    private readonly TensorPlane _biases;
    private readonly QuantizedTensor? _parent;
    private IDisposable? _owner;
    private bool _disposed;

    private QuantizedTensor(QuantCodec codec, QuantShape shape, ReadOnlySpan<TensorPlane> planes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Experts, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Rows, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Columns, nameof(shape));
        Codec = codec;
        Shape = shape;
        Transform = codec.Transform;
        ByteCount = checked(codec.GetByteCount(shape.Columns) * shape.TotalRows);
        if (planes.Length != codec.Planes.Length)
        {
            Throw.PlaneCount(codec, planes.Length, nameof(planes));
        }

        for (int i = 0; i < planes.Length; i++)
        {
            long expected = GetRowByteCount(i) * shape.TotalRows;
            if (planes[i].ByteCount != expected)
            {
                string what = planes.Length == 1 ? "the memory" : $"the plane '{codec.Planes[i].Name}'";
                Throw.LengthMismatch(codec, $"{what} of a {shape} tensor", planes[i].ByteCount, expected, planes.Length == 1 ? "memory" : nameof(planes));
            }
        }

        RowByteCount = GetRowByteCount(0);
        _codes = planes[0];
        _scales = planes.Length > 1 ? planes[1] : default;
        _biases = planes.Length > 2 ? planes[2] : default;
    }

    private QuantizedTensor(QuantizedTensor parent, QuantShape shape, long firstRow, ActivationTransform? transform)
    {
        Codec = parent.Codec;
        Shape = shape;
        Transform = transform;
        RowByteCount = parent.RowByteCount;
        ByteCount = Codec.GetByteCount(shape.Columns) * shape.TotalRows;
        _parent = parent;
        _codes = parent._codes.Slice(firstRow * RowByteCount, RowByteCount * shape.TotalRows, parent);
        if (Codec.Planes.Length > 1)
        {
            _scales = parent._scales.Slice(firstRow * GetRowByteCount(1), GetRowByteCount(1) * shape.TotalRows, parent);
        }

        if (Codec.Planes.Length > 2)
        {
            _biases = parent._biases.Slice(firstRow * GetRowByteCount(2), GetRowByteCount(2) * shape.TotalRows, parent);
        }
    }

    /// <summary>The codec.</summary>
    public QuantCodec Codec { get; }

    /// <summary>The codec's GGML type, if it has one.</summary>
    public QuantFormat? Format => Codec.Format;

    /// <summary>The logical shape.</summary>
    public QuantShape Shape { get; }

    /// <summary>Wire bytes from row to row in the first plane, which for most codecs is the only one.</summary>
    public long RowByteCount { get; }

    /// <summary>Wire bytes of the whole tensor, in all planes; may exceed 2 GiB.</summary>
    public long ByteCount { get; }

    /// <summary>What happens to activations before they are multiplied with this tensor; null for nothing.</summary>
    public ActivationTransform? Transform { get; }

    /// <summary>Whether the bytes lie in a mapped file, so that whole pages around them can be read.</summary>
    internal bool IsMapped => _codes.IsMapped;

    internal bool IsGone => _disposed || _parent is { IsGone: true } || _codes.IsGone || _scales.IsGone || _biases.IsGone;

    /// <summary>A view of managed memory, which the caller keeps.</summary>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="shape">The logical shape.</param>
    /// <param name="memory">Exactly the wire bytes of that shape.</param>
    /// <returns>The view.</returns>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the length is not that of the shape.</exception>
    public static QuantizedTensor FromMemory(QuantCodec codec, QuantShape shape, ReadOnlyMemory<byte> memory)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return new QuantizedTensor(codec, shape, [TensorPlane.FromMemory(memory)]);
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
        return new QuantizedTensor(codec, shape, [TensorPlane.FromMemory(memory)]) { _owner = owner };
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
        return new QuantizedTensor(codec, shape, [TensorPlane.FromPointer(pointer, byteCount, lifetime)]);
    }

    /// <summary>A view of weights whose codes, scales and biases lie apart.</summary>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="shape">The logical shape.</param>
    /// <param name="planes">The bytes in each of <see cref="QuantCodec.Planes"/>: rows of whole blocks, one after the other.</param>
    /// <returns>The view.</returns>
    /// <exception cref="ArgumentException">
    /// The columns are no whole number of blocks, the codec has another number of planes, or the length of one is not that of the shape.
    /// </exception>
    public static QuantizedTensor FromPlanes(QuantCodec codec, QuantShape shape, params ReadOnlySpan<TensorPlane> planes)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return new QuantizedTensor(codec, shape, planes);
    }

    /// <summary>Encodes a tensor into memory of its own.</summary>
    /// <param name="codec">The codec to encode with.</param>
    /// <param name="shape">The logical shape; its wire bytes must fit into one array (2 GiB).</param>
    /// <param name="weights">The weights, row-major. What a codec's <see cref="QuantCodec.Transform"/> makes of their rows is stored.</param>
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

        weights = Transformed(codec.Transform, weights, shape.Columns);
        int importanceRows = perExpert ? (int)shape.Experts : 1;
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)byteCount);
        int weightsPerSlice = weights.Length / importanceRows;
        var planes = new Memory<byte>[codec.Planes.Length];
        int start = 0;
        for (int p = 0; p < planes.Length; p++)
        {
            int length = (int)(codec.PlaneBytes(p) * (shape.TotalWeights / codec.WeightsPerBlock));
            planes[p] = bytes.AsMemory(start, length);
            start += length;
        }

        for (int slice = 0; slice < importanceRows; slice++)
        {
            var sliceOptions = new EncodeOptions
            {
                Importance = perExpert ? options.Importance.Slice(slice * shape.Columns, shape.Columns) : options.Importance,
                RowLength = shape.Columns,
                Mode = options.Mode,
                Overflow = options.Overflow,
                MaxThreads = options.MaxThreads,
                FirstRow = options.FirstRow + (slice * shape.Rows),
                CancellationToken = options.CancellationToken,
            };
            ReadOnlySpan<float> source = weights.Slice(slice * weightsPerSlice, weightsPerSlice);
            if (planes.Length == 1)
            {
                codec.Encode(source, bytes.AsSpan(slice * (bytes.Length / importanceRows)), sliceOptions);
                continue;
            }

            fixed (byte* codes = planes[0].Span, scales = planes[1].Span, biases = planes.Length > 2 ? planes[2].Span : default)
            {
                nint firstBlock = (nint)slice * weightsPerSlice / codec.WeightsPerBlock;
                codec.EncodePlanes(source, new PlanePointers(codes, scales, biases).Skip(codec, firstBlock), shape.Columns, sliceOptions);
            }
        }

        return FromPlanes(codec, shape, [.. planes.Select(plane => TensorPlane.FromMemory(plane))]);
    }

    /// <summary>
    /// Allows <c>fixed (byte* p = tensor)</c> over the bytes of the first plane: all <see cref="ByteCount"/> bytes for a codec with one.
    /// </summary>
    /// <returns>A reference to the first wire byte; null when the tensor is empty.</returns>
    /// <exception cref="ObjectDisposedException">The tensor was disposed.</exception>
    public ref readonly byte GetPinnableReference()
    {
        ObjectDisposedException.ThrowIf(IsGone, this);
        return ref _codes.First;
    }

    /// <summary>The first byte of the second plane; null where there is none. Pinned together with the first.</summary>
    internal ref readonly byte GetScalesReference() => ref _scales.First;

    /// <summary>The first byte of the third plane; null where there is none. Pinned together with the first.</summary>
    internal ref readonly byte GetBiasesReference() => ref _biases.First;

    /// <summary>Bytes from row to row in a plane.</summary>
    /// <param name="plane">Number of the plane, from 0.</param>
    /// <returns>The bytes; 0 if the codec has no such plane.</returns>
    public long GetRowByteCount(int plane) => (long)Shape.Columns / Codec.WeightsPerBlock * Codec.PlaneBytes(plane);

    /// <summary>The wire bytes of one row.</summary>
    /// <param name="row">Row number over all experts, 0 to <c>Shape.TotalRows - 1</c>.</param>
    /// <param name="plane">In which plane.</param>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row or plane.</exception>
    /// <exception cref="ObjectDisposedException">The tensor was disposed.</exception>
    public ReadOnlySpan<byte> GetRowBytes(long row, int plane = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Shape.TotalRows);
        ArgumentOutOfRangeException.ThrowIfNegative(plane);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(plane, Codec.Planes.Length);
        ObjectDisposedException.ThrowIf(IsGone, this);
        TensorPlane view = plane switch { 0 => _codes, 1 => _scales, _ => _biases };
        ref byte first = ref Unsafe.AsRef(in view.First);
        long rowBytes = GetRowByteCount(plane);
        return MemoryMarshal.CreateReadOnlySpan(ref Unsafe.AddByteOffset(ref first, (nint)(row * rowBytes)), checked((int)rowBytes));
    }

    /// <summary>Decodes one row, and undoes the <see cref="Transform"/> it was stored for.</summary>
    /// <param name="row">Row number over all experts.</param>
    /// <param name="destination">Exactly <c>Shape.Columns</c> weights.</param>
    /// <exception cref="ArgumentException">The row does not exist or the destination has another length.</exception>
    public void DecodeRow(long row, Span<float> destination)
    {
        ReadOnlySpan<byte> codes = GetRowBytes(row);
        if (Codec.Planes.Length == 1)
        {
            Codec.Decode(codes, destination);
        }
        else
        {
            DecodePlanes(row, codes, destination);
        }

        Transform?.ApplyTransposed(destination);
    }

    /// <summary>One expert as a matrix of its own; a view, not a copy. It does not outlive this tensor.</summary>
    /// <param name="expert">Expert number, 0 to <c>Shape.Experts - 1</c>.</param>
    /// <returns>A view with one expert.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such expert.</exception>
    public QuantizedTensor Slice(long expert)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(expert, Shape.Experts);
        return SliceRows(expert * Shape.Rows, Shape.Rows);
    }

    /// <summary>Some rows as a matrix of their own; a view, not a copy. It does not outlive this tensor.</summary>
    /// <param name="firstRow">The first row, counted over all experts.</param>
    /// <param name="rows">How many.</param>
    /// <returns>A view with one expert.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no such rows.</exception>
    public QuantizedTensor SliceRows(long firstRow, long rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstRow, Shape.TotalRows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, Shape.TotalRows - firstRow);
        return new QuantizedTensor(this, new QuantShape(rows, Shape.Columns), firstRow, Transform);
    }

    /// <summary>The same bytes, taken for weights that were stored for transformed activations; a view, not a copy.</summary>
    /// <param name="transform">What happens to activations first; null for nothing.</param>
    /// <returns>The view, which does not outlive this tensor.</returns>
    public QuantizedTensor WithTransform(ActivationTransform? transform) => new(this, Shape, 0, transform);

    /// <summary>Releases the owner given to <see cref="FromOwner"/>. Memory that was only viewed is left alone.</summary>
    public void Dispose()
    {
        _disposed = true;
        _owner?.Dispose();
        _owner = null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Codec.Name} {Shape}";

    private void DecodePlanes(long row, ReadOnlySpan<byte> codes, Span<float> destination)
    {
        if (destination.Length != Shape.Columns)
        {
            Throw.LengthMismatch(Codec, "the destination", destination.Length, Shape.Columns, nameof(destination));
        }

        fixed (byte* c = codes, s = GetRowBytes(row, 1), b = Codec.Planes.Length > 2 ? GetRowBytes(row, 2) : default)
        fixed (float* weights = destination)
        {
            Codec.DecodePlanes(new PlanePointers(c, s, b), weights, Shape.Columns / Codec.WeightsPerBlock);
        }
    }

    private static ReadOnlySpan<float> Transformed(ActivationTransform? transform, ReadOnlySpan<float> weights, int columns)
    {
        if (transform is null || columns == 0)
        {
            return weights;
        }

        float[] transformed = weights.ToArray();
        for (int start = 0; start < transformed.Length; start += columns)
        {
            transform.Apply(transformed.AsSpan(start, columns));
        }

        return transformed;
    }
}
