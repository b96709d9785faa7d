using System.Buffers.Binary;
using System.Collections.Immutable;

namespace KQuant.Codecs.Files;

/// <summary>
/// Reads and checks the header of a GGUF file of version 2 or 3: magic, version, counts, metadata, tensor descriptors. One pass from front
/// to back, with work bounded by the header's length and allocation by <see cref="AllocationBudget"/>.
/// </summary>
/// <remarks>
/// <see cref="GgufFile"/> tells what is refused. Compared with ggml: stricter where it is wrong (dimension products that wrap), milder
/// where nothing can be misread (gaps between tensors, nested arrays, names of 64 bytes, no padding at the end).
/// </remarks>
internal sealed class GgufHeaderReader
{
    /// <summary>The longest header. A vocabulary of 260 000 tokens with merges takes about 15 MB.</summary>
    public const long MaxHeaderBytes = 256 << 20;

    // "GGUF" as a little-endian number.
    public const uint Magic = 0x46554747;
    public const int MaxKeyBytes = 65535;
    private const int MaxNameBytes = 64;
    private const int MaxDimensions = 4;
    private const int MaxArrayDepth = 4;
    private const int MinEntryBytes = 8 + 4 + 1;
    private const int MinTensorBytes = 8 + 4 + 4 + 8;

    private readonly MappedFile _file;
    private readonly AllocationBudget _budget;
    private readonly FileCursor _cursor;

    private GgufHeaderReader(MappedFile file, AllocationBudget budget)
    {
        _file = file;
        _budget = budget;
        _cursor = new FileCursor(file, MaxHeaderBytes);
    }

    /// <exception cref="ModelFormatException">The header is not well-formed, or does not fit the file.</exception>
    public static GgufHeader Read(MappedFile file, AllocationBudget budget) => new GgufHeaderReader(file, budget).Read();

    private GgufHeader Read()
    {
        CheckMagic();
        uint version = ReadVersion();
        long tensorCount = _cursor.ReadCount(MinTensorBytes, "the number of tensors");
        long keyCount = _cursor.ReadCount(MinEntryBytes, "the number of metadata keys");
        var metadata = new GgufMetadata(_file.Path, ReadValues(keyCount), isReadOnly: true);
        return new GgufHeader(version, metadata, ReadTensors(tensorCount, metadata.Alignment));
    }

    private void CheckMagic()
    {
        uint magic = _cursor.ReadUInt32("the magic number");
        if (magic != Magic)
        {
            string hint = magic switch
            {
                0x47475546 => "; this is a byte-swapped GGUF",
                0x67676d6c or 0x67676a74 or 0x67676d66 or 0x67676c61 => "; this is one of the formats that ggml had before GGUF",
                _ => "",
            };
            throw _cursor.Error(
                $"this is no GGUF file: it starts with 0x{BinaryPrimitives.ReverseEndianness(magic):x8}, not with 'GGUF'{hint}", 0);
        }
    }

    private uint ReadVersion()
    {
        uint version = _cursor.ReadUInt32("the version");
        return version switch
        {
            2 or 3 => version,
            not 0 when (version & 0xFFFF) == 0 => throw _cursor.Error(
                $"the version is 0x{version:x8}; this looks like a big-endian file, and only little-endian ones can be read", 4),
            _ => throw _cursor.Error($"the version is {version}; 2 and 3 can be read", 4),
        };
    }

    private OrderedDictionary<string, GgufValue> ReadValues(long count)
    {
        var values = new OrderedDictionary<string, GgufValue>();
        for (long i = 0; i < count; i++)
        {
            _cursor.Subject = null;
            long start = _cursor.Offset;
            string key = _cursor.ReadName(MaxKeyBytes, _budget, "a metadata key");
            _cursor.Subject = ("key", key);
            if (key.Length == 0)
            {
                throw _cursor.Error($"metadata key {i} is empty", start);
            }

            if (!values.TryAdd(key, ReadValue()))
            {
                throw _cursor.Error("the key occurs twice", start);
            }
        }

        _cursor.Subject = null;
        return values;
    }

    private GgufValue ReadValue()
    {
        GgufValueType type = ReadType("the value type");
        long start = _cursor.Offset;
        GgufValueType? elementType = null;
        int count = 1;
        if (type == GgufValueType.Array)
        {
            (elementType, count) = SkipArray(depth: 1);
        }
        else if (type == GgufValueType.String)
        {
            SkipString();
        }
        else
        {
            _cursor.Skip(GgufWire.FixedSize(type), "the value");
        }

        // A header is short enough for an int.
        return new GgufValue(_file, start, (int)(_cursor.Offset - start), type, elementType, count);
    }

    private GgufValueType ReadType(string what)
    {
        long start = _cursor.Offset;
        uint type = _cursor.ReadUInt32(what);
        return GgufWire.IsDefined(type) ? (GgufValueType)type : throw _cursor.Error($"{what} is {type}; there are 0 to 12", start);
    }

    private (GgufValueType ElementType, int Count) SkipArray(int depth)
    {
        if (depth > MaxArrayDepth)
        {
            throw _cursor.Error($"arrays are nested more than {MaxArrayDepth} deep");
        }

        GgufValueType element = ReadType("the element type");
        long start = _cursor.Offset;
        long count = _cursor.ReadCount(GgufWire.MinimumSize(element), "the number of elements");
        if (count > MaxHeaderBytes)
        {
            throw _cursor.Error($"the number of elements is {count}; a header has at most {MaxHeaderBytes} bytes", start);
        }

        switch (element)
        {
            case GgufValueType.String:
                for (long i = 0; i < count; i++)
                {
                    SkipString();
                }

                break;
            case GgufValueType.Array:
                for (long i = 0; i < count; i++)
                {
                    SkipArray(depth + 1);
                }

                break;
            default:
                _cursor.Skip(count * GgufWire.FixedSize(element), "the elements");
                break;
        }

        return (element, (int)count);
    }

    private void SkipString() => _cursor.Skip(_cursor.ReadCount(1, "the length of a string"), "a string");

    private List<GgufTensor> ReadTensors(long count, uint alignment)
    {
        var tensors = new List<GgufTensor>();
        for (long i = 0; i < count; i++)
        {
            tensors.Add(ReadTensor(alignment));
        }

        _cursor.TensorName = null;
        CheckLayout(tensors, alignment);
        return tensors;
    }

    /// <summary>Reads one descriptor; the offset is left relative to the data, whose start is not known yet.</summary>
    private GgufTensor ReadTensor(uint alignment)
    {
        _cursor.TensorName = null;
        string name = _cursor.ReadName(MaxNameBytes, _budget, "a tensor name");
        _cursor.TensorName = name;
        long start = _cursor.Offset;
        uint dimensionCount = _cursor.ReadUInt32("the number of dimensions");
        if (dimensionCount > MaxDimensions)
        {
            throw _cursor.Error($"the number of dimensions is {dimensionCount}; at most {MaxDimensions} are allowed", start);
        }

        ImmutableArray<long> dimensions = ReadDimensions((int)dimensionCount);
        long elements = CountElements(dimensions, start);

        start = _cursor.Offset;
        var tensor = new GgufTensor(_file, name, dimensions, elements, _cursor.ReadUInt32("the type"));
        long columns = dimensions.IsEmpty ? 1 : dimensions[0];
        if (tensor.Type is GgmlType type)
        {
            if (columns % type.WeightsPerBlock != 0)
            {
                throw _cursor.Error(
                    $"rows of {columns} elements are no whole number of {type.Name} blocks of {type.WeightsPerBlock}", start);
            }

            if ((UInt128)(ulong)elements / (uint)type.WeightsPerBlock * (uint)type.BytesPerBlock > long.MaxValue)
            {
                throw _cursor.Error($"{elements} elements of type {type.Name} are more than 2^63 bytes", start);
            }
        }

        start = _cursor.Offset;
        ulong offset = _cursor.ReadUInt64("the offset");
        if (offset % alignment != 0)
        {
            throw _cursor.Error($"its offset {offset} is no multiple of the alignment {alignment}", start);
        }

        if (offset > (ulong)_file.Length)
        {
            throw _cursor.Error($"its offset {offset} is beyond the end of the file of {_file.Length} bytes", start);
        }

        tensor.Offset = (long)offset;
        return tensor;
    }

    private ImmutableArray<long> ReadDimensions(int count)
    {
        Span<long> dimensions = stackalloc long[count];
        for (int i = 0; i < count; i++)
        {
            long start = _cursor.Offset;
            dimensions[i] = _cursor.ReadInt64("a dimension");
            if (dimensions[i] < 0)
            {
                throw _cursor.Error($"dimension {i} is {dimensions[i]}", start);
            }
        }

        return [.. dimensions];
    }

    private long CountElements(ImmutableArray<long> dimensions, long start)
    {
        if (dimensions.Contains(0))
        {
            return 0;
        }

        UInt128 elements = 1;
        foreach (long dimension in dimensions)
        {
            elements *= (ulong)dimension;
            if (elements > long.MaxValue)
            {
                throw _cursor.Error($"the dimensions [{string.Join(", ", dimensions)}] multiply to more than 2^63 elements", start);
            }
        }

        return (long)elements;
    }

    /// <summary>
    /// Turns the offsets into places in the file, and checks that all data is there, in order, and no two tensors share bytes.
    /// </summary>
    private void CheckLayout(List<GgufTensor> tensors, long alignment)
    {
        long dataStart = Align(_cursor.Offset, alignment);
        GgufTensor? last = null;
        long end = dataStart;
        foreach (GgufTensor tensor in tensors)
        {
            tensor.Offset += dataStart;
            if (tensor.ElementCount == 0)
            {
                continue;
            }

            // Data of an unknown type takes at least a byte.
            long byteCount = tensor.ByteCount ?? 1;
            if (tensor.Offset > _file.Length || byteCount > _file.Length - tensor.Offset)
            {
                throw tensor.Error(
                    $"the data of {byteCount} bytes goes beyond the end of the file of {_file.Length} bytes; the file is cut off, or the " +
                    $"dimensions [{string.Join(", ", tensor.Dimensions)}] are wrong");
            }

            if (tensor.Offset < end)
            {
                throw tensor.Error($"the data starts before byte {end}, where that of tensor '{Printable.Shorten(last!.Name)}' ends");
            }

            if (last is { Type: null })
            {
                last.StoredByteCount = tensor.Offset - last.Offset;
            }

            last = tensor;
            end = tensor.Offset + byteCount;
        }

        if (last is { Type: null })
        {
            last.StoredByteCount = _file.Length - last.Offset;
        }

        // Some writers leave out the padding behind the last tensor; a part of it says that the file was cut off, or laid out for another
        // alignment.
        if (last?.Type is not null && _file.Length > end && _file.Length < Align(end, alignment))
        {
            throw last.Error(
                $"the data ends at byte {end} and should be padded to {Align(end, alignment)}, the next multiple of the alignment " +
                $"{alignment}, but the file has {_file.Length} bytes");
        }
    }

    private static long Align(long offset, long alignment) => checked(offset + alignment - 1) / alignment * alignment;
}
