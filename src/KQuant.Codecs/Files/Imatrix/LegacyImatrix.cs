using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace KQuant.Codecs.Files;

/// <summary>
/// Importance matrices in the older binary form: i32 entries; for each i32 length and name, i32 calls, i32 values, float32 values; then,
/// not in files of mlx-kquant, i32 chunks, i32 length and name of the data set.
/// </summary>
internal static class LegacyImatrix
{
    private const int MaxNameBytes = 65536;
    private const int MinEntryBytes = 4 * sizeof(int);

    public static ImportanceMatrix Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            return Read(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public static void Write(
        ImportanceMatrix matrix, string path, bool asMeans, Func<string, string> rename, CancellationToken cancellationToken)
    {
        using var output = new OutputFile(path);
        ImportanceEntry[] entries = [.. matrix.Entries.Where(entry => asMeans || entry.HasData())];
        WriteInt32(output.Stream, entries.Length);
        foreach (ImportanceEntry entry in entries)
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] name = Encoding.UTF8.GetBytes(rename(entry.Name));
            WriteInt32(output.Stream, name.Length);
            output.Stream.Write(name);
            (long calls, float[] values) = asMeans
                ? (entry.GetCounts().Max(), entry.GetImportance())
                : ScaleToCalls(entry, matrix.ChunkSize);
            WriteInt32(output.Stream, ToInt32(calls, entry, "calls"));
            WriteInt32(output.Stream, values.Length);
            output.Stream.Write(MemoryMarshal.AsBytes(values.AsSpan()));
        }

        if (!asMeans)
        {
            byte[] dataset = Encoding.UTF8.GetBytes(matrix.Datasets.Count > 0 ? matrix.Datasets[^1] : "");
            WriteInt32(output.Stream, matrix.ChunkCount);
            WriteInt32(output.Stream, dataset.Length);
            output.Stream.Write(dataset);
        }

        output.Commit();
    }

    private static ImportanceMatrix Read(MappedFile file)
    {
        var cursor = new FileCursor(file);
        int count = cursor.ReadInt32("the number of entries");
        if (count < 1 || count > cursor.Remaining / MinEntryBytes)
        {
            throw cursor.Error(
                FormattableString.Invariant(
                    $"this is no importance matrix: it does not start with 'GGUF', and taken as the number of entries its first 4 bytes are {count}, while {cursor.Remaining} bytes are left"),
                0);
        }

        var budget = new AllocationBudget();
        var entries = new List<(string Name, int Calls, long Offset, int Count)>();
        for (int i = 0; i < count; i++)
        {
            entries.Add(ReadEntry(cursor, budget));
        }

        bool asMeans = cursor.Remaining == 0;
        var matrix = new ImportanceMatrix(file, asMeans ? ImportanceFormat.LegacyMeans : ImportanceFormat.Legacy);
        if (!asMeans)
        {
            ReadEnd(cursor, matrix);
        }

        foreach ((string name, int calls, long offset, int values) in entries)
        {
            // As llama.cpp has it, values stand as they are when there were no calls to divide by.
            var entry = new ImportanceEntry(file.Path, name, new FloatRegion(file, offset, values), [calls], null, asMeans || calls <= 0);
            if (!matrix.TryAdd(entry))
            {
                throw new ModelFormatException(file.Path, "the name occurs twice", name, offset);
            }
        }

        return matrix;
    }

    private static (string Name, int Calls, long Offset, int Count) ReadEntry(FileCursor cursor, AllocationBudget budget)
    {
        long start = cursor.Offset;
        int nameLength = cursor.ReadInt32("the length of the name");
        if (nameLength < 1)
        {
            throw cursor.Error($"the length of the name is {nameLength}", start);
        }

        string name = cursor.ReadName(start, (ulong)nameLength, MaxNameBytes, budget, "the name");
        cursor.Subject = ("entry", name);
        int calls = cursor.ReadInt32("the number of calls");
        start = cursor.Offset;
        int values = cursor.ReadInt32("the number of values");
        if (values < 1)
        {
            throw cursor.Error($"the number of values is {values}", start);
        }

        long offset = cursor.Offset;
        cursor.Skip((long)values * sizeof(float), "the values");
        cursor.Subject = null;
        return (name, calls, offset, values);
    }

    /// <summary>The first files of llama.cpp that had an end had the number of chunks only.</summary>
    private static void ReadEnd(FileCursor cursor, ImportanceMatrix matrix)
    {
        matrix.ChunkCount = cursor.ReadInt32("the number of chunks");
        if (cursor.Remaining == 0)
        {
            return;
        }

        long start = cursor.Offset;
        int length = cursor.ReadInt32("the length of the data set's name");
        if (length is < 0 or > MaxNameBytes)
        {
            throw cursor.Error($"the length of the data set's name is {length}", start);
        }

        if (length > 0)
        {
            // A path, in whatever encoding the machine had.
            matrix.Datasets = [Encoding.UTF8.GetString(cursor.Take(length, "the data set's name"))];
        }
    }

    /// <summary>
    /// What llama.cpp stores: mean times calls, where a call is a chunk of text. Without a chunk size the counts are calls already, and the
    /// sums what is stored.
    /// </summary>
    private static (long Calls, float[] Values) ScaleToCalls(ImportanceEntry entry, int chunkSize)
    {
        float[] sums = entry.GetSums();
        long[] counts = entry.GetDivisors();
        long calls = (counts.Max() + Math.Max(0, chunkSize - 1)) / Math.Max(1, chunkSize);
        int columns = sums.Length / counts.Length;
        for (int expert = 0; expert < counts.Length; expert++)
        {
            if (counts[expert] == calls)
            {
                continue;
            }

            foreach (ref float value in sums.AsSpan(expert * columns, columns))
            {
                value = (counts[expert] > 0 ? value / counts[expert] : 1) * calls;
            }
        }

        return (calls, sums);
    }

    private static int ToInt32(long value, ImportanceEntry entry, string what) => value is >= int.MinValue and <= int.MaxValue
        ? (int)value
        : throw new InvalidOperationException($"'{entry.Name}' has {value} {what}, which does not fit the 32 bits of this format.");

    private static void WriteInt32(Stream stream, int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        stream.Write(bytes);
    }
}
