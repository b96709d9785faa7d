using System.Collections;
using System.Text;

namespace KQuant.Codecs.Files;

/// <summary>
/// An array of strings in a file's metadata, such as a vocabulary of 150 000 tokens: a view that decodes one string at a time and keeps
/// none. Enumerating is linear; an index costs a short walk from the nearest known place.
/// </summary>
public sealed class GgufStrings : IReadOnlyList<string>
{
    // One known place for so many strings: a file's claim of millions of empty ones must not become a large table.
    private const int Stride = 32;
    private readonly GgufValue _array;
    private int[]? _places;

    internal GgufStrings(GgufValue array) => _array = array;

    /// <summary>The number of strings.</summary>
    public int Count => _array.Count;

    /// <summary>A string. Bytes that are no UTF-8 become U+FFFD; <see cref="GetUtf8"/> has them.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    public string this[int index]
    {
        get
        {
            using HeldBytes utf8 = AcquireUtf8(index);
            return Encoding.UTF8.GetString(utf8.Span);
        }
    }

    /// <summary>The bytes of a string, as the file has them.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    /// <returns>A copy of the bytes, usually UTF-8.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such string.</exception>
    /// <exception cref="ObjectDisposedException">The file was disposed.</exception>
    public byte[] GetUtf8(int index)
    {
        using HeldBytes utf8 = AcquireUtf8(index);
        return utf8.Span.ToArray();
    }

    /// <inheritdoc/>
    public IEnumerator<string> GetEnumerator()
    {
        int at = 0;
        for (int i = 0; i < Count; i++)
        {
            (string text, at) = Decode(at);
            yield return text;
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The bytes of a string where they lie, for as long as the result is held.</summary>
    internal HeldBytes AcquireUtf8(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        HeldBytes array = _array.Acquire();
        ReadOnlySpan<byte> elements = array.Span[GgufWire.ArrayHeaderBytes..];
        _places ??= FindPlaces(elements);
        int at = _places[index / Stride];
        for (int i = index / Stride * Stride; i < index; i++)
        {
            at = End(elements, at);
        }

        int start = GgufWire.ArrayHeaderBytes + at;
        return array.Slice((start + GgufWire.StringHeaderBytes)..(GgufWire.ArrayHeaderBytes + End(elements, at)));
    }

    private static int End(ReadOnlySpan<byte> elements, int at) => at + GgufWire.SizeAt(elements[at..], GgufValueType.String);

    private (string Text, int End) Decode(int at)
    {
        using HeldBytes array = _array.Acquire();
        ReadOnlySpan<byte> elements = array.Span[GgufWire.ArrayHeaderBytes..];
        int end = End(elements, at);
        return (Encoding.UTF8.GetString(elements[(at + GgufWire.StringHeaderBytes)..end]), end);
    }

    private int[] FindPlaces(ReadOnlySpan<byte> elements)
    {
        var places = new int[(Count + Stride - 1) / Stride];
        int at = 0;
        for (int i = 0; i < Count; i++)
        {
            if (i % Stride == 0)
            {
                places[i / Stride] = at;
            }

            at = End(elements, at);
        }

        return places;
    }
}
