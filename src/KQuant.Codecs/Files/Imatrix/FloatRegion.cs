using System.Runtime.InteropServices;

namespace KQuant.Codecs.Files;

/// <summary>Float32 values in memory or, unread, in a mapped file.</summary>
internal readonly struct FloatRegion
{
    private readonly float[]? _values;
    private readonly MappedFile? _file;
    private readonly long _offset;

    public FloatRegion(float[] values)
    {
        _values = values;
        Count = values.Length;
    }

    /// <param name="file">The file.</param>
    /// <param name="offset">Where the values begin, checked by the caller.</param>
    /// <param name="count">How many there are.</param>
    public FloatRegion(MappedFile file, long offset, long count)
    {
        _file = file;
        _offset = offset;
        Count = count;
    }

    public long Count { get; }

    /// <summary>A copy. The caller has compared <see cref="Count"/> with what is expected, or wants whatever the file holds.</summary>
    public float[] ToArray()
    {
        if (_values is not null)
        {
            return [.. _values];
        }

        var values = new float[Count];
        if (Count > 0)
        {
            Span<byte> bytes = MemoryMarshal.AsBytes(values.AsSpan());
            using HeldBytes stored = _file!.Acquire(_offset, bytes.Length);
            stored.Span.CopyTo(bytes);
        }

        return values;
    }
}
