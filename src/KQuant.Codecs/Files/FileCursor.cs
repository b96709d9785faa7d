using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace KQuant.Codecs.Files;

/// <summary>
/// Reads little-endian fields from the front of a mapped file. Nothing is believed: every length is compared with what is left before it is
/// used, and every failure is a <see cref="ModelFormatException"/> that says which field, where, and with which value.
/// </summary>
internal sealed class FileCursor(MappedFile file, long maxLength = long.MaxValue)
{
    /// <summary>Where the next field starts.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes from here to the end of the file.</summary>
    public long Remaining => file.Length - Offset;

    /// <summary>What the fields belong to, such as key and <c>general.name</c>; part of every message.</summary>
    public (string Kind, string Name)? Subject { get; set; }

    /// <summary>The tensor that the fields belong to, if they do.</summary>
    public string? TensorName { get; set; }

    public uint ReadUInt32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint), what));

    public int ReadInt32(string what) => BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int), what));

    public ulong ReadUInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong), what));

    public long ReadInt64(string what) => BinaryPrimitives.ReadInt64LittleEndian(Take(sizeof(long), what));

    /// <summary>The next bytes, as a view of the file.</summary>
    public ReadOnlySpan<byte> Take(int count, string what)
    {
        long start = Offset;
        Skip(count, what);
        return file.UnsafeBytes(start, count);
    }

    /// <summary>Passes over bytes that are there.</summary>
    public void Skip(long count, string what)
    {
        if (count > Remaining)
        {
            throw Error($"the file ends inside {what}: {count} bytes are needed, {Remaining} are left");
        }

        if (count > maxLength - Offset)
        {
            throw Error($"{what} goes beyond byte {maxLength}, the most that a header may take");
        }

        Offset += count;
    }

    /// <summary>A count of things of which each takes at least <paramref name="minBytes"/> bytes of the rest of the file.</summary>
    public long ReadCount(int minBytes, string what)
    {
        long start = Offset;
        ulong count = ReadUInt64(what);
        if (count > (ulong)(Remaining / minBytes))
        {
            throw Error($"{what} is {count}, which needs at least {minBytes} bytes each, but {Remaining} are left", start);
        }

        return (long)count;
    }

    /// <summary>A name: 64-bit length, UTF-8 bytes without NUL. Charged to the budget before it becomes a string.</summary>
    /// <param name="maxBytes">The longest that is allowed.</param>
    /// <param name="budget">What may still be allocated.</param>
    /// <param name="what">The field, for messages.</param>
    public string ReadName(int maxBytes, AllocationBudget budget, string what)
    {
        long start = Offset;
        ulong length = ReadUInt64(what);
        return ReadName(start, length, maxBytes, budget, what);
    }

    /// <summary>A name whose length was read.</summary>
    public string ReadName(long start, ulong length, int maxBytes, AllocationBudget budget, string what)
    {
        if (length > (ulong)maxBytes)
        {
            throw Error($"{what} is {length} bytes long; at most {maxBytes} are allowed", start);
        }

        ReadOnlySpan<byte> utf8 = Take((int)length, what);
        if (!Utf8.IsValid(utf8))
        {
            throw Error($"{what} is no valid UTF-8 ('{Printable.Shorten(utf8)}')", start);
        }

        if (utf8.Contains((byte)0))
        {
            throw Error($"{what} contains a NUL character ('{Printable.Shorten(utf8)}')", start);
        }

        // Two bytes per character, and 384 for the object of that name, its arrays and its share of growing tables.
        if (!budget.TryCharge(384 + (2 * utf8.Length)))
        {
            throw Error($"the names in the header would take more than {AllocationBudget.Limit >> 20} MiB of memory", start);
        }

        return Encoding.UTF8.GetString(utf8);
    }

    /// <summary>An exception about the field that starts at <paramref name="offset"/>, by default the next one.</summary>
    public ModelFormatException Error(string problem, long? offset = null)
    {
        string subject = Subject is (string kind, string name) ? $"{kind} '{Printable.Shorten(name)}': " : "";
        return new ModelFormatException(file.Path, subject + problem, TensorName, offset ?? Offset);
    }
}
