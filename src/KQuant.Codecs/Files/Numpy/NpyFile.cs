using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>
/// A NumPy <c>.npy</c> file: one array, memory-mapped. Versions 1.0, 2.0 and 3.0, little-endian numbers and booleans, C order.
/// </summary>
/// <remarks>The format: <see href="https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"/>.</remarks>
public sealed class NpyFile : IDisposable
{
    /// <summary>NumPy writes headers of a few hundred bytes; its reader warns from 10,000 on.</summary>
    private const int MaxHeaderLength = 1 << 16;

    private const int PreambleLength = 8;

    private readonly MappedFile _file;
    private readonly long _dataStart;

    private NpyFile(MappedFile file, ElementType type, ImmutableArray<long> shape, long dataStart, long byteCount)
    {
        _file = file;
        _dataStart = dataStart;
        ElementType = type;
        Shape = shape;
        ByteCount = byteCount;
    }

    /// <summary>The path as given to <see cref="Open"/>.</summary>
    public string Path => _file.Path;

    /// <summary>The element type.</summary>
    public ElementType ElementType { get; }

    /// <summary>Dimensions, outermost first; empty for a scalar.</summary>
    public ImmutableArray<long> Shape { get; }

    /// <summary>Bytes of the array.</summary>
    public long ByteCount { get; }

    /// <summary>Opens a file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The array; dispose it to release the mapping.</returns>
    /// <exception cref="ModelFormatException">
    /// The file is no .npy file, its array is structured, big-endian or in Fortran order, or its length is not that of the array.
    /// </exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static NpyFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        MappedFile file = MappedFile.Open(path);
        try
        {
            return Parse(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Writes an array.</summary>
    /// <param name="path">The file; one that exists is replaced when the new one is complete.</param>
    /// <param name="type">A type that NumPy has: F16, F32, F64, an integer, or BOOL.</param>
    /// <param name="shape">Dimensions, outermost first.</param>
    /// <param name="write">Writes exactly the bytes of the array, little-endian, in C order.</param>
    /// <exception cref="ArgumentException">The type is none of NumPy's, or the shape has no size in bytes.</exception>
    /// <exception cref="InvalidOperationException">The callback wrote another number of bytes.</exception>
    public static void Write(string path, ElementType type, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);
        byte[] header = NpyHeader.Build(type, shape);
        if (!ElementTypes.TryGetByteCount(type, shape, out long byteCount))
        {
            throw new ArgumentException($"{type} [{string.Join(", ", shape.ToArray())}] has no size in bytes.", nameof(shape));
        }

        using var output = new OutputFile(path);
        output.Stream.Write(header);
        using (var data = new TensorStream(output.Stream, path, byteCount, progress: null, CancellationToken.None))
        {
            write(data);
            data.Complete();
        }

        output.Commit();
    }

    /// <summary>Writes an array of float32.</summary>
    /// <param name="path">The file; one that exists is replaced when the new one is complete.</param>
    /// <param name="shape">Dimensions, outermost first.</param>
    /// <param name="values">The values in C order.</param>
    /// <exception cref="ArgumentException">The values are not as many as the shape has.</exception>
    public static void Write(string path, ReadOnlySpan<long> shape, ReadOnlyMemory<float> values)
    {
        if (TensorShapes.Product(shape) != values.Length)
        {
            throw new ArgumentException($"[{string.Join(", ", shape.ToArray())}] has not {values.Length} values.", nameof(values));
        }

        Write(path, ElementType.F32, shape, stream => stream.Write(MemoryMarshal.AsBytes(values.Span)));
    }

    /// <summary>
    /// Part of the array's bytes where they lie. Nothing keeps them there: once the file is disposed or collected, touching the span ends the
    /// process. <see cref="ReadBytes"/> is the ordinary form.
    /// </summary>
    /// <param name="offset">First byte, counted from the start of the array.</param>
    /// <param name="count">Number of bytes.</param>
    /// <returns>The bytes; not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the array.</exception>
    public ReadOnlySpan<byte> UnsafeGetBytes(long offset, int count)
    {
        if (offset < 0 || count < 0 || offset > ByteCount - count)
        {
            Throw.RangeOutsideTensor(Path, offset, count, ByteCount);
        }

        return _file.UnsafeBytes(_dataStart + offset, count);
    }

    /// <summary>
    /// The array as weights: a vector is a matrix of one row, a third dimension counts experts, further ones are folded into it.
    /// </summary>
    /// <returns>A view that is valid until the file is disposed.</returns>
    /// <exception cref="NotSupportedException">The element type is neither F32 nor F16.</exception>
    /// <exception cref="ModelFormatException">A row is longer than 2^31 - 1 weights.</exception>
    public QuantizedTensor AsWeights()
    {
        if (!ElementType.TryGetCodec(out QuantCodec? codec))
        {
            Throw.NotWeights(Path, "array", ElementType.ToString());
        }

        if (!TensorShapes.TryGetQuantShape(Shape.AsSpan(), out QuantShape shape))
        {
            throw new ModelFormatException(Path, $"a row of {Shape[^1]} values is longer than {int.MaxValue}");
        }

        return QuantizedTensor.FromPlanes(codec, shape, _file.Plane(_dataStart, ByteCount));
    }

    /// <summary>Closes the file; views of the array throw from now on. The mapping goes when the last operation that reads it has ended.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Copies part of the array's bytes by reading the file.</summary>
    /// <param name="offset">First byte, counted from the start of the array.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie inside the array.</exception>
    /// <exception cref="IOException">The file cannot be read, or became shorter.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Throw.RangeOutsideTensor(Path, offset, destination.Length, ByteCount);
        }

        if (!destination.IsEmpty)
        {
            _file.Read(_dataStart + offset, destination);
        }
    }

    internal void Decode(long offset, QuantCodec codec, Span<float> destination) => _file.Decode(_dataStart + offset, codec, destination);

    private static NpyFile Parse(MappedFile file)
    {
        if (file.Length < PreambleLength + 2 || file.UnsafeBytes(0, 1)[0] != 0x93 || !file.UnsafeBytes(1, 5).SequenceEqual("NUMPY"u8))
        {
            throw new ModelFormatException(file.Path, "the file does not begin with the magic of .npy");
        }

        (byte major, byte minor) = (file.UnsafeBytes(6, 1)[0], file.UnsafeBytes(7, 1)[0]);
        if (major is < 1 or > 3 || minor != 0)
        {
            throw new ModelFormatException(file.Path, $"the version is {major}.{minor}; 1.0, 2.0 and 3.0 are known", offset: 6);
        }

        int lengthBytes = major == 1 ? 2 : 4;
        if (!file.Contains(PreambleLength, lengthBytes))
        {
            throw new ModelFormatException(file.Path, "the file ends inside the header length");
        }

        ReadOnlySpan<byte> lengthField = file.UnsafeBytes(PreambleLength, lengthBytes);
        uint length = major == 1
            ? BinaryPrimitives.ReadUInt16LittleEndian(lengthField)
            : BinaryPrimitives.ReadUInt32LittleEndian(lengthField);
        int headerStart = PreambleLength + lengthBytes;
        if (length > MaxHeaderLength || !file.Contains(headerStart, length))
        {
            throw new ModelFormatException(
                file.Path,
                $"the header claims {length} bytes; the file has {file.Length - headerStart}, and at most {MaxHeaderLength} are read");
        }

        string text = (major < 3 ? System.Text.Encoding.Latin1 : System.Text.Encoding.UTF8).GetString(file.UnsafeBytes(headerStart, (int)length));
        (ElementType type, ImmutableArray<long> shape) = NpyHeader.Parse(file.Path, headerStart, text);
        long dataStart = headerStart + length;
        if (!ElementTypes.TryGetByteCount(type, shape.AsSpan(), out long byteCount) || byteCount != file.Length - dataStart)
        {
            throw new ModelFormatException(
                file.Path,
                $"{type} [{string.Join(", ", shape)}] does not take the {file.Length - dataStart} bytes that follow the header",
                offset: dataStart);
        }

        return new NpyFile(file, type, shape, dataStart, byteCount);
    }
}
