using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace KQuant.Codecs.Files;

/// <summary>
/// One metadata value, kept in the file's own encoding: read from a file it is a view, decoded when asked for, and written again it is the
/// same bytes. Immutable.
/// </summary>
/// <remarks>
/// A value of an open <see cref="GgufFile"/> lives as long as that file; afterwards reading it throws
/// <see cref="ObjectDisposedException"/>.
/// </remarks>
public sealed class GgufValue
{
    private readonly MappedFile? _file;
    private readonly byte[]? _bytes;
    private readonly long _offset;
    private readonly int _length;

    internal GgufValue(MappedFile file, long offset, int length, GgufValueType type, GgufValueType? elementType, int count)
        : this(type, elementType, count) => (_file, _offset, _length) = (file, offset, length);

    private GgufValue(byte[] bytes, GgufValueType type, GgufValueType? elementType = null, int count = 1)
        : this(type, elementType, count) => (_bytes, _length) = (bytes, bytes.Length);

    private GgufValue(GgufValue array, int start, int length, GgufValueType type, GgufValueType? elementType, int count)
        : this(type, elementType, count) =>
        (_file, _bytes, _offset, _length) = (array._file, array._bytes, array._offset + start, length);

    private GgufValue(GgufValueType type, GgufValueType? elementType, int count) => (Type, ElementType, Count) = (type, elementType, count);

    /// <summary>The type.</summary>
    public GgufValueType Type { get; }

    /// <summary>The type of an array's elements; null if this is no array.</summary>
    public GgufValueType? ElementType { get; }

    /// <summary>Elements of an array; 1 otherwise.</summary>
    public int Count { get; }

    /// <summary>Bytes that the value takes in a file, without its key and type.</summary>
    public int ByteCount => _length;

    internal string TypeName => GgufWire.Name(Type, ElementType);

    /// <summary>A scalar or a string.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double, bool or string.</typeparam>
    /// <param name="value">The value.</param>
    /// <returns>The metadata value.</returns>
    /// <exception cref="NotSupportedException">GGUF has no such type.</exception>
    public static GgufValue From<T>(T value)
        where T : notnull
    {
        GgufValueType type = GgufWire.TypeOf<T>();
        if (value is string text)
        {
            var encoded = new byte[GgufWire.StringHeaderBytes + Encoding.UTF8.GetByteCount(text)];
            WriteString(encoded, text);
            return new GgufValue(encoded, type);
        }

        var bytes = new byte[GgufWire.FixedSize(type)];
        Unsafe.WriteUnaligned(ref bytes[0], value);
        return new GgufValue(bytes, type);
    }

    /// <summary>An array of numbers or booleans.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double or bool.</typeparam>
    /// <param name="values">The elements; copied.</param>
    /// <returns>The metadata value.</returns>
    /// <exception cref="NotSupportedException">GGUF has no such type.</exception>
    public static GgufValue FromArray<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        GgufValueType type = GgufWire.TypeOf<T>();
        ReadOnlySpan<byte> elements = MemoryMarshal.AsBytes(values);
        byte[] bytes = NewArray(type, values.Length, elements.Length);
        elements.CopyTo(bytes.AsSpan(GgufWire.ArrayHeaderBytes));
        return new GgufValue(bytes, GgufValueType.Array, type, values.Length);
    }

    /// <summary>An array of strings.</summary>
    /// <param name="values">The strings; encoded at once.</param>
    /// <returns>The metadata value.</returns>
    public static GgufValue FromStrings(IReadOnlyList<string> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        int size = 0;
        for (int i = 0; i < values.Count; i++)
        {
            size = checked(size + GgufWire.StringHeaderBytes + Encoding.UTF8.GetByteCount(values[i]));
        }

        byte[] bytes = NewArray(GgufValueType.String, values.Count, size);
        int at = GgufWire.ArrayHeaderBytes;
        for (int i = 0; i < values.Count; i++)
        {
            at += WriteString(bytes.AsSpan(at), values[i]);
        }

        return new GgufValue(bytes, GgufValueType.Array, GgufValueType.String, values.Count);
    }

    /// <summary>An array of arrays. llama.cpp refuses files with nested arrays; other readers take them.</summary>
    /// <param name="arrays">The inner arrays.</param>
    /// <returns>The metadata value.</returns>
    /// <exception cref="ArgumentException">An element is no array.</exception>
    public static GgufValue FromArrays(IReadOnlyList<GgufValue> arrays)
    {
        ArgumentNullException.ThrowIfNull(arrays);
        int size = 0;
        for (int i = 0; i < arrays.Count; i++)
        {
            if (arrays[i].Type != GgufValueType.Array)
            {
                throw new ArgumentException(
                    $"Element {i} is of type {arrays[i].TypeName}; an array of arrays was expected.", nameof(arrays));
            }

            size = checked(size + arrays[i]._length);
        }

        byte[] bytes = NewArray(GgufValueType.Array, arrays.Count, size);
        int at = GgufWire.ArrayHeaderBytes;
        for (int i = 0; i < arrays.Count; i++)
        {
            arrays[i].CopyBytes(bytes.AsSpan(at, arrays[i]._length));
            at += arrays[i]._length;
        }

        return new GgufValue(bytes, GgufValueType.Array, GgufValueType.Array, arrays.Count);
    }

    /// <summary>The value, if it has exactly this type: a u32 is not an i32, as llama.cpp has it.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double, bool or string.</typeparam>
    /// <param name="value">The value. Bytes of a string that are no UTF-8 become U+FFFD; <see cref="CopyBytes"/> has them.</param>
    /// <returns>Whether the type is that.</returns>
    public bool TryGet<T>(out T value)
        where T : notnull
    {
        if (Type != GgufWire.TypeOf<T>())
        {
            value = default!;
            return false;
        }

        using HeldBytes held = Acquire();
        if (typeof(T) == typeof(string))
        {
            value = (T)(object)Encoding.UTF8.GetString(held.Span[GgufWire.StringHeaderBytes..]);
        }
        else if (typeof(T) == typeof(bool))
        {
            bool flag = held.Span[0] != 0;
            value = Unsafe.As<bool, T>(ref flag);
        }
        else
        {
            value = Unsafe.ReadUnaligned<T>(in held.Span[0]);
        }

        return true;
    }

    /// <summary>The elements of an array, if they have exactly this type.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double or bool.</typeparam>
    /// <param name="values">A copy of the elements, or null.</param>
    /// <returns>Whether this is an array of that type.</returns>
    public bool TryGetArray<T>([NotNullWhen(true)] out T[]? values)
        where T : unmanaged
    {
        if (ElementType != GgufWire.TypeOf<T>())
        {
            values = null;
            return false;
        }

        values = new T[Count];
        using HeldBytes held = Acquire();
        held.Span[GgufWire.ArrayHeaderBytes..].CopyTo(MemoryMarshal.AsBytes(values.AsSpan()));
        if (typeof(T) == typeof(bool))
        {
            // A .NET bool other than 0 or 1 compares in surprising ways.
            foreach (ref byte flag in MemoryMarshal.AsBytes(values.AsSpan()))
            {
                flag = flag == 0 ? (byte)0 : (byte)1;
            }
        }

        return true;
    }

    /// <summary>The elements of an array of strings, decoded one by one when asked for.</summary>
    /// <param name="values">A view of the strings, or null.</param>
    /// <returns>Whether this is an array of strings.</returns>
    public bool TryGetStrings([NotNullWhen(true)] out GgufStrings? values)
    {
        values = ElementType == GgufValueType.String ? new GgufStrings(this) : null;
        return values is not null;
    }

    /// <summary>The elements of an array of arrays.</summary>
    /// <param name="values">Views of the inner arrays, or null.</param>
    /// <returns>Whether this is an array of arrays.</returns>
    public bool TryGetArrays([NotNullWhen(true)] out GgufValue[]? values)
    {
        values = ElementType == GgufValueType.Array ? [.. GetElements()] : null;
        return values is not null;
    }

    /// <summary>The elements of an array of any type, one by one; nothing if this is no array.</summary>
    /// <returns>Views of the elements.</returns>
    public IEnumerable<GgufValue> GetElements()
    {
        int at = GgufWire.ArrayHeaderBytes;
        for (int i = 0; i < Count && ElementType is GgufValueType type; i++)
        {
            GgufValue element = ElementAt(at, type);
            at += element._length;
            yield return element;
        }
    }

    /// <summary>The value of any integer type.</summary>
    /// <param name="value">The value, or 0.</param>
    /// <returns>Whether this is an integer that fits.</returns>
    public bool TryGetInteger(out long value)
    {
        using HeldBytes held = Acquire();
        ReadOnlySpan<byte> raw = held.Span;
        switch (Type)
        {
            case GgufValueType.UInt8: value = raw[0]; return true;
            case GgufValueType.Int8: value = (sbyte)raw[0]; return true;
            case GgufValueType.UInt16: value = BinaryPrimitives.ReadUInt16LittleEndian(raw); return true;
            case GgufValueType.Int16: value = BinaryPrimitives.ReadInt16LittleEndian(raw); return true;
            case GgufValueType.UInt32: value = BinaryPrimitives.ReadUInt32LittleEndian(raw); return true;
            case GgufValueType.Int32: value = BinaryPrimitives.ReadInt32LittleEndian(raw); return true;
            case GgufValueType.Int64: value = BinaryPrimitives.ReadInt64LittleEndian(raw); return true;
            case GgufValueType.UInt64:
                value = BinaryPrimitives.ReadInt64LittleEndian(raw);
                return value >= 0;
            default:
                value = 0;
                return false;
        }
    }

    /// <summary>The value of any integer or floating-point type.</summary>
    /// <param name="value">The value, or 0; integers beyond 2^53 are rounded.</param>
    /// <returns>Whether this is a number.</returns>
    public bool TryGetNumber(out double value)
    {
        using HeldBytes held = Acquire();
        value = Type switch
        {
            GgufValueType.Float32 => BinaryPrimitives.ReadSingleLittleEndian(held.Span),
            GgufValueType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(held.Span),
            GgufValueType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(held.Span),
            _ => TryGetInteger(out long integer) ? integer : 0,
        };
        return GgufWire.FixedSize(Type) > 0 && Type != GgufValueType.Bool;
    }

    /// <summary>
    /// Copies the value as a file has it, without the type: for a string its 64-bit length and UTF-8 bytes, for an array element type, 64-bit
    /// count and elements.
    /// </summary>
    /// <param name="destination">Exactly <see cref="ByteCount"/> bytes.</param>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public void CopyBytes(Span<byte> destination)
    {
        if (destination.Length != _length)
        {
            throw new ArgumentException(
                FormattableString.Invariant($"The destination has {destination.Length} bytes; the value has {_length}."), nameof(destination));
        }

        using HeldBytes held = Acquire();
        held.Span.CopyTo(destination);
    }

    /// <summary>
    /// The value for people: a string as it is, numbers in invariant form, the first elements of an array and their number.
    /// </summary>
    /// <returns>The text.</returns>
    public override string ToString()
    {
        switch (Type)
        {
            case GgufValueType.String: return TryGet(out string text) ? text : "";
            case GgufValueType.Bool: return TryGet(out bool flag) && flag ? "true" : "false";
            case GgufValueType.Float32: return TryGet(out float single) ? single.ToString(CultureInfo.InvariantCulture) : "";
            case GgufValueType.Float64: return TryGet(out double number) ? number.ToString(CultureInfo.InvariantCulture) : "";
            case GgufValueType.UInt64: return TryGet(out ulong unsigned) ? unsigned.ToString(CultureInfo.InvariantCulture) : "";
            case GgufValueType.Array: return DescribeArray();
            default: return TryGetInteger(out long integer) ? integer.ToString(CultureInfo.InvariantCulture) : "";
        }
    }

    /// <summary>The bytes, where they lie, for as long as the result is held.</summary>
    internal HeldBytes Acquire() =>
        _file is null ? new HeldBytes(_bytes.AsSpan((int)_offset, _length)) : _file.Acquire(_offset, _length);

    /// <summary>The bytes, for those who keep the file open and reachable.</summary>
    internal ReadOnlySpan<byte> UnsafeBytes() => _file is null ? _bytes.AsSpan((int)_offset, _length) : _file.UnsafeBytes(_offset, _length);

    private static byte[] NewArray(GgufValueType element, int count, int elementBytes)
    {
        var bytes = new byte[checked(GgufWire.ArrayHeaderBytes + elementBytes)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)element);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(sizeof(uint)), (ulong)count);
        return bytes;
    }

    private static int WriteString(Span<byte> destination, string text)
    {
        int length = Encoding.UTF8.GetBytes(text, destination[GgufWire.StringHeaderBytes..]);
        BinaryPrimitives.WriteUInt64LittleEndian(destination, (ulong)length);
        return GgufWire.StringHeaderBytes + length;
    }

    private string DescribeArray()
    {
        const int shown = 8;
        var builder = new StringBuilder("[");
        foreach (GgufValue element in GetElements().Take(shown))
        {
            builder.Append(builder.Length == 1 ? "" : ", ").Append(element.Type == GgufValueType.Array ? "[...]" : element.ToString());
        }

        return builder.Append(Count > shown ? $", ... {Count - shown} more]" : "]").ToString();
    }

    private GgufValue ElementAt(int at, GgufValueType type)
    {
        using HeldBytes held = Acquire();
        ReadOnlySpan<byte> rest = held.Span[at..];
        int length = GgufWire.SizeAt(rest, type);
        return type == GgufValueType.Array
            ? new GgufValue(
                this,
                at,
                length,
                type,
                (GgufValueType)BinaryPrimitives.ReadUInt32LittleEndian(rest),
                (int)BinaryPrimitives.ReadUInt64LittleEndian(rest[sizeof(uint)..]))
            : new GgufValue(this, at, length, type, null, 1);
    }
}
