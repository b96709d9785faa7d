using System.Buffers.Binary;

namespace KQuant.Codecs.Files;

/// <summary>The encoding of metadata values: sizes, and the mapping between .NET types and <see cref="GgufValueType"/>.</summary>
internal static class GgufWire
{
    /// <summary>Element type and count before the elements of an array.</summary>
    public const int ArrayHeaderBytes = sizeof(uint) + sizeof(ulong);

    /// <summary>The length before the bytes of a string.</summary>
    public const int StringHeaderBytes = sizeof(ulong);

    public static bool IsDefined(uint type) => type <= (uint)GgufValueType.Float64;

    /// <summary>Bytes of a value of fixed size, 0 for strings and arrays.</summary>
    public static int FixedSize(GgufValueType type) => type switch
    {
        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
        GgufValueType.UInt64 or GgufValueType.Int64 or GgufValueType.Float64 => 8,
        _ => 0,
    };

    /// <summary>The least that an element of an array takes.</summary>
    public static int MinimumSize(GgufValueType type) => type switch
    {
        GgufValueType.String => StringHeaderBytes,
        GgufValueType.Array => ArrayHeaderBytes,
        _ => FixedSize(type),
    };

    /// <summary>The file's type for a .NET type. The comparisons are constants to the compiler.</summary>
    /// <exception cref="NotSupportedException">GGUF has no such type.</exception>
    public static GgufValueType TypeOf<T>() =>
        typeof(T) == typeof(byte) ? GgufValueType.UInt8
        : typeof(T) == typeof(sbyte) ? GgufValueType.Int8
        : typeof(T) == typeof(ushort) ? GgufValueType.UInt16
        : typeof(T) == typeof(short) ? GgufValueType.Int16
        : typeof(T) == typeof(uint) ? GgufValueType.UInt32
        : typeof(T) == typeof(int) ? GgufValueType.Int32
        : typeof(T) == typeof(float) ? GgufValueType.Float32
        : typeof(T) == typeof(bool) ? GgufValueType.Bool
        : typeof(T) == typeof(string) ? GgufValueType.String
        : typeof(T) == typeof(ulong) ? GgufValueType.UInt64
        : typeof(T) == typeof(long) ? GgufValueType.Int64
        : typeof(T) == typeof(double) ? GgufValueType.Float64
        : throw new NotSupportedException($"GGUF metadata has no type for {typeof(T)}.");

    /// <summary>The type as messages name it: <c>u32</c>, <c>string</c>, <c>f32[]</c>.</summary>
    public static string Name(GgufValueType type, GgufValueType? element = null) => type switch
    {
        GgufValueType.UInt8 => "u8",
        GgufValueType.Int8 => "i8",
        GgufValueType.UInt16 => "u16",
        GgufValueType.Int16 => "i16",
        GgufValueType.UInt32 => "u32",
        GgufValueType.Int32 => "i32",
        GgufValueType.Float32 => "f32",
        GgufValueType.Bool => "bool",
        GgufValueType.String => "string",
        GgufValueType.UInt64 => "u64",
        GgufValueType.Int64 => "i64",
        GgufValueType.Float64 => "f64",
        _ => element is null ? "array" : $"{Name(element.Value)}[]",
    };

    /// <summary>Bytes that an element takes at the front of well-formed data.</summary>
    public static int SizeAt(ReadOnlySpan<byte> data, GgufValueType type)
    {
        if (type == GgufValueType.String)
        {
            return checked(StringHeaderBytes + (int)BinaryPrimitives.ReadUInt64LittleEndian(data));
        }

        if (type != GgufValueType.Array)
        {
            return FixedSize(type);
        }

        var element = (GgufValueType)BinaryPrimitives.ReadUInt32LittleEndian(data);
        int count = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(data[sizeof(uint)..]));
        int size = ArrayHeaderBytes;
        if (FixedSize(element) is int fixedSize and > 0)
        {
            return checked(size + (count * fixedSize));
        }

        for (int i = 0; i < count; i++)
        {
            size += SizeAt(data[size..], element);
        }

        return size;
    }
}
