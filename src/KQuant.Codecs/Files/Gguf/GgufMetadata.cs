using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// The keys and values of a GGUF file, in their order. Look-ups are strict about types, as llama.cpp is, and their errors name the key, the
/// type that was expected and the one that was found.
/// </summary>
/// <remarks>
/// The metadata of an open file is read-only and lives as long as the file. <c>new GgufMetadata(file.Metadata)</c> gives a copy that can be
/// changed and handed to a <see cref="GgufWriter"/>; its values still view the file, which must stay open until they are written.
/// </remarks>
[SuppressMessage("Naming", "CA1710:Identifiers should have correct suffix", Justification = "This is what the format calls it.")]
public sealed class GgufMetadata : IReadOnlyCollection<KeyValuePair<string, GgufValue>>
{
    /// <summary>The alignment of tensor data when a file has no <c>general.alignment</c>.</summary>
    public const uint DefaultAlignment = 32;

    internal const string AlignmentKey = "general.alignment";
    private readonly OrderedDictionary<string, GgufValue> _values;
    private readonly string _source;

    /// <summary>Creates empty metadata.</summary>
    public GgufMetadata()
        : this("new metadata", [], isReadOnly: false)
    {
    }

    /// <summary>Creates a copy that can be changed.</summary>
    /// <param name="source">The metadata to copy.</param>
    public GgufMetadata(GgufMetadata source)
        : this((source ?? throw new ArgumentNullException(nameof(source)))._source, new(source._values), isReadOnly: false)
    {
    }

    internal GgufMetadata(string source, OrderedDictionary<string, GgufValue> values, bool isReadOnly) =>
        (_source, _values, IsReadOnly) = (source, values, isReadOnly);

    /// <summary>True for the metadata of an open file.</summary>
    public bool IsReadOnly { get; }

    /// <summary>The number of keys.</summary>
    public int Count => _values.Count;

    /// <summary>The keys, in order.</summary>
    public IReadOnlyList<string> Keys => _values.Keys;

    /// <summary>The value of <c>general.architecture</c>, such as <c>llama</c>; null if the file has none.</summary>
    /// <exception cref="ModelFormatException">The value is no string.</exception>
    public string? Architecture => ContainsKey("general.architecture") ? Get<string>("general.architecture") : null;

    /// <summary>The value of <c>general.alignment</c>, or 32.</summary>
    /// <exception cref="ModelFormatException">The value is no u32 or no power of two.</exception>
    public uint Alignment
    {
        get
        {
            uint alignment = Get(AlignmentKey, DefaultAlignment);
            return uint.IsPow2(alignment)
                ? alignment
                : throw new ModelFormatException(_source, $"key \'{AlignmentKey}' is {alignment}, which is no power of two");
        }
    }

    /// <summary>The value of a key.</summary>
    /// <param name="key">The key.</param>
    /// <exception cref="ModelFormatException">There is no such key.</exception>
    public GgufValue this[string key] =>
        TryGetValue(key, out GgufValue? value) ? value : throw new ModelFormatException(_source, $"key \'{key}' is missing");

    /// <summary>Whether there is such a key.</summary>
    /// <param name="key">The key.</param>
    /// <returns>Whether it is there.</returns>
    public bool ContainsKey(string key) => _values.ContainsKey(key);

    /// <summary>The value of a key, whatever its type.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value, or null.</param>
    /// <returns>Whether the key is there.</returns>
    public bool TryGetValue(string key, [NotNullWhen(true)] out GgufValue? value) => _values.TryGetValue(key, out value);

    /// <summary>A value of exactly one type.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double, bool or string.</typeparam>
    /// <param name="key">The key.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ModelFormatException">The key is missing or of another type.</exception>
    public T Get<T>(string key)
        where T : notnull => Expect<T>(key, this[key]);

    /// <summary>A value of exactly one type, or another if the key is missing.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double, bool or string.</typeparam>
    /// <param name="key">The key.</param>
    /// <param name="fallback">The result when the key is missing.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ModelFormatException">The key is of another type.</exception>
    public T Get<T>(string key, T fallback)
        where T : notnull => TryGetValue(key, out GgufValue? value) ? Expect<T>(key, value) : fallback;

    /// <summary>A value of exactly one type, if the key is there.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double, bool or string.</typeparam>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    /// <returns>Whether the key is there.</returns>
    /// <exception cref="ModelFormatException">The key is of another type.</exception>
    public bool TryGet<T>(string key, [MaybeNullWhen(false)] out T value)
        where T : notnull
    {
        bool found = TryGetValue(key, out GgufValue? entry);
        value = found ? Expect<T>(key, entry!) : default;
        return found;
    }

    /// <summary>A value of any integer type.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ModelFormatException">The key is missing, no integer, or beyond 2^63.</exception>
    public long GetInteger(string key) => this[key].TryGetInteger(out long value) ? value : throw Mismatch(key, "an integer");

    /// <summary>A value of any number type.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ModelFormatException">The key is missing or no number.</exception>
    public double GetNumber(string key) => this[key].TryGetNumber(out double value) ? value : throw Mismatch(key, "a number");

    /// <summary>An array of exactly one element type.</summary>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double or bool.</typeparam>
    /// <param name="key">The key.</param>
    /// <returns>A copy of the elements.</returns>
    /// <exception cref="ModelFormatException">The key is missing or of another type.</exception>
    public T[] GetArray<T>(string key)
        where T : unmanaged =>
        this[key].TryGetArray(out T[]? values) ? values : throw Mismatch(key, GgufWire.Name(GgufValueType.Array, GgufWire.TypeOf<T>()));

    /// <summary>An array of strings, decoded one by one when asked for.</summary>
    /// <param name="key">The key.</param>
    /// <returns>A view of the strings.</returns>
    /// <exception cref="ModelFormatException">The key is missing or of another type.</exception>
    public GgufStrings GetStrings(string key) =>
        this[key].TryGetStrings(out GgufStrings? values) ? values : throw Mismatch(key, "string[]");

    /// <summary>Sets a scalar or a string. A new key goes to the end, an old one keeps its place.</summary>
    /// <typeparam name="T">
    /// An integer of 8 to 64 bits, float, double, bool or string. It is the type in the file, unless llama.cpp knows the key: then that one's
    /// type is, so that <c>Set("llama.block_count", 12)</c> writes the u32 that it reads.
    /// </typeparam>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="ArgumentException">A known key has a type that the value does not fit.</exception>
    /// <exception cref="InvalidOperationException">This is the metadata of an open file.</exception>
    public void Set<T>(string key, T value)
        where T : notnull
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        var given = GgufValue.From(value);
        Set(key, GgufKeys.TypeOf(key) is GgufValueType type && type != given.Type ? Convert(key, given, type) : given);
    }

    /// <summary>Sets a number of things: a u32, as every count in the format is.</summary>
    /// <param name="key">The key.</param>
    /// <param name="count">The number, at most 2^32 - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is no u32.</exception>
    /// <exception cref="InvalidOperationException">This is the metadata of an open file.</exception>
    public void SetCount(string key, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, uint.MaxValue);
        Set(key, GgufValue.From((uint)count));
    }

    /// <summary>Sets an array of numbers or booleans.</summary>
    /// <inheritdoc cref="Set{T}(string, T)"/>
    /// <typeparam name="T">An integer of 8 to 64 bits, float, double or bool.</typeparam>
    /// <param name="key">The key.</param>
    /// <param name="values">The elements.</param>
    public void SetArray<T>(string key, ReadOnlySpan<T> values)
        where T : unmanaged => Set(key, GgufValue.FromArray(values));

    /// <summary>Sets an array of strings.</summary>
    /// <inheritdoc cref="Set{T}(string, T)"/>
    /// <param name="key">The key.</param>
    /// <param name="values">The strings.</param>
    public void SetStrings(string key, IReadOnlyList<string> values) => Set(key, GgufValue.FromStrings(values));

    /// <summary>Sets a value of any type, as it is.</summary>
    /// <inheritdoc cref="Set{T}(string, T)"/>
    /// <param name="key">The key, not empty, at most 65535 bytes of UTF-8.</param>
    /// <param name="value">The value.</param>
    public void Set(string key, GgufValue value)
    {
        ArgumentException.ThrowIfNullOrEmpty(key);
        ArgumentNullException.ThrowIfNull(value);
        ThrowIfReadOnly();
        _values[key] = value;
    }

    /// <summary>Removes a key.</summary>
    /// <param name="key">The key.</param>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="InvalidOperationException">This is the metadata of an open file.</exception>
    public bool Remove(string key)
    {
        ThrowIfReadOnly();
        return _values.Remove(key);
    }

    /// <summary>
    /// Sets <c>general.file_type</c>, and <c>general.quantization_version</c> to 2, the version of all block formats here.
    /// </summary>
    /// <param name="fileType">What most weights are.</param>
    /// <exception cref="InvalidOperationException">This is the metadata of an open file.</exception>
    public void SetFileType(GgufFileType fileType)
    {
        Set("general.file_type", (uint)fileType);
        Set("general.quantization_version", 2u);
    }

    /// <summary>As <see cref="SetFileType(GgufFileType)"/>, with the type that llama.cpp guesses for a file of mostly this codec.</summary>
    /// <param name="codec">The codec of most weights.</param>
    /// <exception cref="NotSupportedException">The codec has no file type.</exception>
    public void SetFileType(QuantCodec codec)
    {
        ArgumentNullException.ThrowIfNull(codec);
        SetFileType(codec.FileType ?? throw new NotSupportedException($"GGUF has no general.file_type for {codec.Name}."));
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, GgufValue>> GetEnumerator() => _values.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static GgufValue Convert(string key, GgufValue value, GgufValueType type)
    {
        if (value.TryGetInteger(out long number))
        {
            switch (type)
            {
                case GgufValueType.UInt32 when number is >= 0 and <= uint.MaxValue: return GgufValue.From((uint)number);
                case GgufValueType.Int32 when number is >= int.MinValue and <= int.MaxValue: return GgufValue.From((int)number);
                case GgufValueType.UInt16 when number is >= 0 and <= ushort.MaxValue: return GgufValue.From((ushort)number);
                case GgufValueType.Float32: return GgufValue.From((float)number);
            }
        }
        else if (type == GgufValueType.Float32 && value.TryGetNumber(out double real))
        {
            return GgufValue.From((float)real);
        }

        throw new ArgumentException(
            $"key '{key}' is {GgufWire.Name(type)} and cannot be {value.TypeName} '{Printable.Shorten(value.ToString())}'", nameof(value));
    }

    private T Expect<T>(string key, GgufValue value)
        where T : notnull => value.TryGet(out T result) ? result : throw Mismatch(key, GgufWire.Name(GgufWire.TypeOf<T>()));

    private ModelFormatException Mismatch(string key, string expected)
    {
        GgufValue value = this[key];
        string what = value.Type == GgufValueType.Array ? $"of {value.Count} elements" : $"'{Printable.Shorten(value.ToString())}'";
        return new ModelFormatException(_source, $"key \'{key}' should be {expected} but is {value.TypeName} {what}");
    }

    private void ThrowIfReadOnly()
    {
        if (IsReadOnly)
        {
            throw new InvalidOperationException(
                "The metadata of an open file cannot be changed; change a copy: new GgufMetadata(file.Metadata).");
        }
    }
}
