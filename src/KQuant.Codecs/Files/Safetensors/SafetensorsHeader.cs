using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Unicode;

namespace KQuant.Codecs.Files;

/// <summary>
/// Reads the JSON header of a safetensors file token by token; nothing is built but the tensors themselves. The checks are those of the
/// format's reference reader, and two that its text asks for: the header begins with <c>{</c>, and no key occurs twice.
/// </summary>
internal ref struct SafetensorsHeader
{
    private static readonly string[] TypeNames = Enum.GetNames<ElementType>();

    private readonly SafetensorsShard _shard;
    private readonly SafetensorsTable _table;
    private readonly ReadOnlySpan<byte> _bytes;
    private Utf8JsonReader _json;

    public SafetensorsHeader(SafetensorsShard shard, ReadOnlySpan<byte> bytes, SafetensorsTable table)
    {
        _shard = shard;
        _table = table;
        _bytes = bytes;
        _json = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = 64 });
    }

    /// <summary>Where the current token is in the file.</summary>
    private readonly long Position => _shard.DataStart - _bytes.Length + _json.TokenStartIndex;

    /// <summary>Adds all tensors to the table.</summary>
    /// <returns>The <c>__metadata__</c>, empty when there is none.</returns>
    public Dictionary<string, string> Read()
    {
        if (!_bytes.TrimStart(" \t\r\n"u8).StartsWith("{"u8))
        {
            throw Problem("the header does not begin with '{'");
        }

        if (!Utf8.IsValid(_bytes))
        {
            throw Problem("the header is not valid UTF-8");
        }

        try
        {
            return ReadRoot();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The text is valid UTF-8, so an InvalidOperationException is half of a surrogate pair, written as \ud800.
            throw new ModelFormatException(
                _shard.Path, $"the header is not valid JSON: {exception.Message}", offset: Position, innerException: exception);
        }
    }

    private Dictionary<string, string> ReadRoot()
    {
        Dictionary<string, string>? metadata = null;
        _json.Read();
        while (Next() == JsonTokenType.PropertyName)
        {
            string name = ReadString(SafetensorsLimits.MaxNameBytes, "the name of a tensor");
            if (name != "__metadata__")
            {
                ReadTensor(name);
            }
            else if (metadata is null)
            {
                metadata = ReadMetadata();
            }
            else
            {
                throw Problem("__metadata__ occurs twice");
            }
        }

        _json.Read();
        return metadata ?? [];
    }

    private Dictionary<string, string> ReadMetadata()
    {
        var metadata = new Dictionary<string, string>();
        if (Next() == JsonTokenType.Null)
        {
            return metadata;
        }

        Expect(JsonTokenType.StartObject, "__metadata__ is no object");
        while (Next() == JsonTokenType.PropertyName)
        {
            string key = ReadString(int.MaxValue, "a key of __metadata__");
            if (Next() != JsonTokenType.String)
            {
                throw Problem($"the value of '{Printable.Shorten(key)}' in __metadata__ is no string");
            }

            if (!metadata.TryAdd(key, ReadString(int.MaxValue, "a value of __metadata__")))
            {
                throw Problem($"the key '{Printable.Shorten(key)}' occurs twice in __metadata__");
            }
        }

        return metadata;
    }

    private void ReadTensor(string name)
    {
        long position = Position;
        Next();
        Expect(JsonTokenType.StartObject, "the description is no object", name);

        ElementType? type = null;
        ImmutableArray<long>? shape = null;
        (long Begin, long End)? range = null;
        while (Next() == JsonTokenType.PropertyName)
        {
            if (_json.ValueTextEquals("dtype"u8))
            {
                Once(type is null, "dtype", name);
                type = ReadType(name);
            }
            else if (_json.ValueTextEquals("shape"u8))
            {
                Once(shape is null, "shape", name);
                shape = ReadShape(name);
            }
            else if (_json.ValueTextEquals("data_offsets"u8))
            {
                Once(range is null, "data_offsets", name);
                range = ReadRange(name);
            }
            else
            {
                // As the reference reader does; a later version of the format may add fields.
                _json.Skip();
            }
        }

        if (type is null || shape is null || range is null)
        {
            string missing = type is null ? "dtype" : shape is null ? "shape" : "data_offsets";
            throw Problem($"{missing} is missing", name);
        }

        long byteCount = CheckSize(name, type.Value, shape.Value, range.Value);
        _table.ChargeTensor(_shard.Path, shape.Value.Length, position);
        var tensor = new SafetensorsTensor(_shard, name, type.Value, shape.Value, range.Value.Begin, byteCount);
        if (!_table.TryAdd(tensor))
        {
            _table.TryGet(name, out SafetensorsTensor? first);
            string where = first!.FilePath == _shard.Path ? "in the file" : $"in the model, also in {first.FilePath}";
            throw new ModelFormatException(_shard.Path, $"the name occurs twice {where}", name, position);
        }
    }

    private readonly long CheckSize(string name, ElementType type, ImmutableArray<long> shape, (long Begin, long End) range)
    {
        if (range.Begin > range.End || range.End > _shard.DataLength)
        {
            throw Problem($"data_offsets [{range.Begin}, {range.End}] do not lie in the {_shard.DataLength} bytes of data", name);
        }

        if (!ElementTypes.TryGetByteCount(type, shape.AsSpan(), out long byteCount))
        {
            throw Problem($"{type} [{string.Join(", ", shape)}] is no size that a file can have", name);
        }

        if (byteCount != range.End - range.Begin)
        {
            throw Problem(
                $"{type} [{string.Join(", ", shape)}] takes {byteCount} bytes, but data_offsets [{range.Begin}, {range.End}] "
                + $"hold {range.End - range.Begin}",
                name);
        }

        return byteCount;
    }

    private ElementType ReadType(string tensor)
    {
        Next();
        Expect(JsonTokenType.String, "dtype is no string", tensor);
        for (int i = 0; i < TypeNames.Length; i++)
        {
            if (_json.ValueTextEquals(TypeNames[i]))
            {
                return (ElementType)i;
            }
        }

        throw Problem($"dtype '{Printable.Shorten(_json.ValueSpan)}' is unknown; the types are {string.Join(", ", TypeNames)}", tensor);
    }

    private ImmutableArray<long> ReadShape(string tensor)
    {
        Next();
        Expect(JsonTokenType.StartArray, "shape is no array", tensor);
        Span<long> dimensions = stackalloc long[SafetensorsLimits.MaxDimensions];
        int count = 0;
        while (Next() != JsonTokenType.EndArray)
        {
            if (count == SafetensorsLimits.MaxDimensions)
            {
                throw Problem($"shape has more than {SafetensorsLimits.MaxDimensions} dimensions", tensor);
            }

            dimensions[count++] = ReadCount("a dimension", tensor);
        }

        return ImmutableArray.Create<long>(dimensions[..count]);
    }

    private (long Begin, long End) ReadRange(string tensor)
    {
        Next();
        Expect(JsonTokenType.StartArray, "data_offsets is no array", tensor);
        Next();
        long begin = ReadCount("an offset", tensor);
        Next();
        long end = ReadCount("an offset", tensor);
        Next();
        Expect(JsonTokenType.EndArray, "data_offsets has more than two values", tensor);
        return (begin, end);
    }

    private readonly long ReadCount(string what, string tensor)
    {
        // Parsed without a sign, so that -0 is refused too.
        if (_json.TokenType != JsonTokenType.Number || !_json.TryGetUInt64(out ulong value) || value > long.MaxValue)
        {
            throw Problem($"{what} is '{Printable.Shorten(_json.ValueSpan)}', no whole number from 0 to {long.MaxValue}", tensor);
        }

        return (long)value;
    }

    private readonly string ReadString(int maxBytes, string what)
    {
        int length = _json.ValueSpan.Length;
        if (length > maxBytes)
        {
            throw Problem($"{what} has {length} bytes; at most {maxBytes} are allowed");
        }

        // Escapes are undone in a buffer of their own.
        _table.ChargeString(_shard.Path, _json.ValueIsEscaped ? 2L * length : length, Position);
        return _json.GetString()!;
    }

    private JsonTokenType Next()
    {
        _json.Read();
        return _json.TokenType;
    }

    private readonly void Expect(JsonTokenType type, string problem, string? tensor = null)
    {
        if (_json.TokenType != type)
        {
            throw Problem(problem, tensor);
        }
    }

    private readonly void Once(bool first, string field, string tensor)
    {
        if (!first)
        {
            throw Problem($"{field} occurs twice", tensor);
        }
    }

    private readonly ModelFormatException Problem(string problem, string? tensor = null) =>
        new(_shard.Path, problem, tensor, Position);
}
