using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Codecs.Files;

namespace KQuant.Codecs;

/// <summary>
/// A weight matrix, or a stack of them, in wire bytes. It is a view: the bytes belong to a memory-mapped file, an array or a native block,
/// and are never copied. Rows are whole blocks one after the other, experts whole matrices one after the other; codecs with scales apart have
/// that in each of their planes.
/// </summary>
/// <remarks>
/// All members are safe to call from several threads at once, also while another one disposes the tensor, the file or the buffer: operations
/// hold the memory while they last and the last one releases it, those that begin later throw <see cref="ObjectDisposedException"/>. Only
/// spans outlive nothing, which is why the one member that gives such a span away says so in its name.
/// </remarks>
public sealed unsafe class QuantizedTensor : IDisposable
{
    private readonly TensorPlane _codes;
    private readonly TensorPlane _scales;
    private readonly TensorPlane _biases;
    private readonly QuantizedTensor? _parent;
    private readonly SafeHandle? _owner;
    private volatile bool _disposed;

    private QuantizedTensor(QuantCodec codec, QuantShape shape, ReadOnlySpan<TensorPlane> planes, IDisposable? owner = null)
    {
        Codec = codec;
        Shape = shape;
        Transform = codec.Transform;
        ByteCount = CountBytes(codec, shape);
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
        _owner = owner is null ? null : owner as SafeHandle ?? new OwnerHandle(owner);
    }

    private QuantizedTensor(QuantizedTensor parent, QuantShape shape, long firstRow, ActivationTransform? transform)
    {
        Codec = parent.Codec;
        Shape = shape;
        Transform = transform;
        RowByteCount = parent.RowByteCount;
        ByteCount = Codec.GetByteCount(shape.Columns) * shape.TotalRows;
        _parent = parent;
        _owner = parent._owner;
        _codes = parent._codes.Slice(firstRow * RowByteCount, RowByteCount * shape.TotalRows);
        if (Codec.Planes.Length > 1)
        {
            _scales = parent._scales.Slice(firstRow * GetRowByteCount(1), GetRowByteCount(1) * shape.TotalRows);
        }

        if (Codec.Planes.Length > 2)
        {
            _biases = parent._biases.Slice(firstRow * GetRowByteCount(2), GetRowByteCount(2) * shape.TotalRows);
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

    private bool IsGone => _disposed || _parent is { IsGone: true } || _codes.IsGone || _scales.IsGone || _biases.IsGone;

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
        long needed = CountBytes(codec, shape);
        ReadOnlyMemory<byte> memory = owner.Memory;
        memory = memory.Length > needed ? memory[..(int)needed] : memory;
        return new QuantizedTensor(codec, shape, [TensorPlane.FromMemory(memory)], owner);
    }

    /// <summary>
    /// A view of native memory of any size, such as part of a memory-mapped file. Every operation holds the buffer while it lasts, so that
    /// the memory is there until the last one has ended, whoever disposes or drops the buffer meanwhile.
    /// </summary>
    /// <param name="codec">The codec of the bytes.</param>
    /// <param name="shape">The logical shape.</param>
    /// <param name="buffer">
    /// The memory, such as <see cref="System.IO.MemoryMappedFiles.MemoryMappedViewAccessor.SafeMemoryMappedViewHandle"/>. It stays the caller's,
    /// who may dispose it at any time; the tensor then throws.
    /// </param>
    /// <param name="offset">Where the tensor begins in it.</param>
    /// <returns>The view.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bytes of that shape do not lie inside the buffer.</exception>
    /// <exception cref="ArgumentException">The columns are no whole number of blocks, or the buffer is no memory.</exception>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public static QuantizedTensor FromBuffer(QuantCodec codec, QuantShape shape, SafeBuffer buffer, long offset = 0)
    {
        ArgumentNullException.ThrowIfNull(codec);
        return new QuantizedTensor(codec, shape, [TensorPlane.FromBuffer(buffer, offset, CountBytes(codec, shape))]);
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
    /// <param name="cancellationToken">Cancels a long encode between rows.</param>
    /// <returns>The encoded tensor.</returns>
    /// <exception cref="ArgumentException">A length does not fit the shape.</exception>
    /// <exception cref="InvalidWeightException">A value cannot be encoded; see <see cref="QuantCodec.Encode"/>.</exception>
    public static QuantizedTensor Encode(QuantCodec codec, QuantShape shape, ReadOnlySpan<float> weights, in EncodeOptions options = default, CancellationToken cancellationToken = default)
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

        long byteCount = CountBytes(codec, shape);
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
                MaxDegreeOfParallelism = options.MaxDegreeOfParallelism,
                FirstRow = options.FirstRow + (slice * shape.Rows),
            };
            ReadOnlySpan<float> source = weights.Slice(slice * weightsPerSlice, weightsPerSlice);
            if (planes.Length == 1)
            {
                codec.Encode(source, bytes.AsSpan(slice * (bytes.Length / importanceRows)), sliceOptions, cancellationToken);
                continue;
            }

            fixed (byte* codes = planes[0].Span, scales = planes[1].Span, biases = planes.Length > 2 ? planes[2].Span : default)
            {
                nint firstBlock = (nint)slice * weightsPerSlice / codec.WeightsPerBlock;
                codec.EncodePlanes(source, new PlanePointers(codes, scales, biases).Skip(codec, firstBlock), shape.Columns, sliceOptions, cancellationToken);
            }
        }

        return FromPlanes(codec, shape, [.. planes.Select(plane => TensorPlane.FromMemory(plane))]);
    }

    /// <summary>Bytes from row to row in a plane.</summary>
    /// <param name="plane">Number of the plane, from 0.</param>
    /// <returns>The bytes; 0 if the codec has no such plane.</returns>
    public long GetRowByteCount(int plane) => (long)Shape.Columns / Codec.WeightsPerBlock * Codec.PlaneBytes(plane);

    /// <summary>Copies the wire bytes of one row.</summary>
    /// <param name="row">Row number over all experts, 0 to <c>Shape.TotalRows - 1</c>.</param>
    /// <param name="destination">Exactly <see cref="GetRowByteCount"/> bytes.</param>
    /// <param name="plane">From which plane.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row or plane.</exception>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its memory was disposed.</exception>
    public void CopyRowBytes(long row, Span<byte> destination, int plane = 0)
    {
        CheckRow(row, plane);
        long rowBytes = GetRowByteCount(plane);
        if (destination.Length != rowBytes)
        {
            Throw.LengthMismatch(Codec, $"the destination of a row of {Shape.Columns} weights", destination.Length, rowBytes, nameof(destination));
        }

        using TensorLease lease = Acquire();
        ref readonly byte first = ref plane == 0 ? ref lease.Codes : ref plane == 1 ? ref lease.Scales : ref lease.Biases;
        RowBytes(in first, row, rowBytes).CopyTo(destination);
    }

    /// <summary>
    /// The wire bytes of one row where they lie. Nothing keeps them there: once tensor, file or buffer are disposed, or were collected because
    /// nobody holds them any more, touching the span ends the process. <see cref="CopyRowBytes"/> is the ordinary form.
    /// </summary>
    /// <param name="row">Row number over all experts, 0 to <c>Shape.TotalRows - 1</c>.</param>
    /// <param name="plane">In which plane.</param>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row or plane.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its memory was disposed.</exception>
    public ReadOnlySpan<byte> UnsafeGetRowBytes(long row, int plane = 0)
    {
        CheckRow(row, plane);
        ThrowIfDisposed();
        TensorPlane view = plane switch { 0 => _codes, 1 => _scales, _ => _biases };
        return RowBytes(in view.UnsafeFirst, row, GetRowByteCount(plane));
    }

    /// <summary>Decodes one row, and undoes the <see cref="Transform"/> it was stored for.</summary>
    /// <param name="row">Row number over all experts.</param>
    /// <param name="destination">Exactly <c>Shape.Columns</c> weights.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row.</exception>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its memory was disposed.</exception>
    public void DecodeRow(long row, Span<float> destination)
    {
        CheckRow(row, 0);
        if (destination.Length != Shape.Columns)
        {
            Throw.LengthMismatch(Codec, "the destination", destination.Length, Shape.Columns, nameof(destination));
        }

        using TensorLease lease = Acquire();
        if (Codec.Planes.Length == 1)
        {
            Codec.Decode(RowBytes(in lease.Codes, row, RowByteCount), destination);
        }
        else
        {
            fixed (byte* codes = &lease.Codes, scales = &lease.Scales, biases = &lease.Biases)
            fixed (float* weights = destination)
            {
                int blocks = Shape.Columns / Codec.WeightsPerBlock;
                Codec.DecodePlanes(new PlanePointers(codes, scales, biases).Skip(Codec, (nint)row * blocks), weights, blocks);
            }
        }

        Transform?.ApplyTransposed(destination);
    }

    /// <summary>One expert as a matrix of its own; a view, not a copy. It does not outlive this tensor.</summary>
    /// <param name="expert">Expert number, 0 to <c>Shape.Experts - 1</c>.</param>
    /// <returns>A view with one expert.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such expert.</exception>
    public QuantizedTensor GetExpert(long expert)
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

    /// <summary>
    /// Ends the use of this view: operations that begin later throw, those that are running end as they would. What the tensor owns
    /// (<see cref="FromOwner"/>) is released when they have; memory that is only viewed is left alone, and so is the tensor a slice was cut from.
    /// </summary>
    public void Dispose()
    {
        _disposed = true;
        if (_parent is null)
        {
            _owner?.Dispose();
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Codec.Name} {Shape}";

    /// <summary>A tensor that owns its native memory.</summary>
    internal static QuantizedTensor FromBlock(QuantCodec codec, QuantShape shape, NativeBlock block) =>
        new(codec, shape, [TensorPlane.FromBuffer(block, 0, (long)block.ByteLength)], block);

    /// <summary>The memory, for one operation.</summary>
    /// <exception cref="ObjectDisposedException">The tensor or its memory was disposed.</exception>
    internal TensorLease Acquire()
    {
        ThrowIfDisposed();
        return new TensorLease(_owner, _codes, _scales, _biases);
    }

    /// <summary>Native memory, for longer than an operation.</summary>
    /// <exception cref="ObjectDisposedException">The tensor or its memory was disposed.</exception>
    internal TensorHold Hold()
    {
        ThrowIfDisposed();
        return new TensorHold(_owner, _codes.Buffer, _scales.Buffer, _biases.Buffer);
    }

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(IsGone, this);

    private static ReadOnlySpan<byte> RowBytes(ref readonly byte first, long row, long rowBytes) =>
        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.AddByteOffset(ref Unsafe.AsRef(in first), (nint)(row * rowBytes)), checked((int)rowBytes));

    private static long CountBytes(QuantCodec codec, QuantShape shape)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Experts, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Rows, nameof(shape));
        ArgumentOutOfRangeException.ThrowIfNegative(shape.Columns, nameof(shape));
        if (shape.Columns % codec.WeightsPerBlock != 0)
        {
            Throw.NotWholeBlocks(codec, $"a row of a {shape} tensor", shape.Columns, codec.WeightsPerBlock, nameof(shape));
        }

        return checked(codec.GetByteCount(shape.Columns) * shape.TotalRows);
    }

    private void CheckRow(long row, int plane)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Shape.TotalRows);
        ArgumentOutOfRangeException.ThrowIfNegative(plane);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(plane, Codec.Planes.Length);
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
