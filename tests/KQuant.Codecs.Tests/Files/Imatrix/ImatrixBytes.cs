using System.Text;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Importance matrices as the programs that make them write them, byte by byte.</summary>
internal static class ImatrixBytes
{
    /// <summary>The older form: entries with calls and values; then, if there is a data set, chunks and its name.</summary>
    public static byte[] Legacy((string Name, int Calls, float[] Values)[] entries, int chunks = 0, string? dataset = null)
    {
        var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(entries.Length);
        foreach ((string name, int calls, float[] values) in entries)
        {
            writer.Write(Encoding.UTF8.GetByteCount(name));
            writer.Write(Encoding.UTF8.GetBytes(name));
            writer.Write(calls);
            writer.Write(values.Length);
            Array.ForEach(values, writer.Write);
        }

        if (dataset is not null)
        {
            writer.Write(chunks);
            writer.Write(dataset.Length);
            writer.Write(Encoding.UTF8.GetBytes(dataset));
        }

        return stream.ToArray();
    }

    /// <summary>llama.cpp's GGUF form: keys and order of tensors as its imatrix tool writes them.</summary>
    public static byte[] Gguf(
        uint chunkCount, uint chunkSize, string[] datasets, params (string Name, float[] Sums, float[] Counts)[] entries)
    {
        GgufBytes file = new GgufBytes().Key("general.type", "imatrix").Strings("imatrix.datasets", datasets)
            .Key("imatrix.chunk_count", chunkCount).Key("imatrix.chunk_size", chunkSize);
        foreach ((string name, float[] sums, float[] counts) in entries)
        {
            long[] experts = counts.Length > 1 ? [counts.Length] : [];
            file.Tensor($"{name}.in_sum2", [sums.Length / counts.Length, .. experts], 0, [.. sums.SelectMany(BitConverter.GetBytes)]);
            file.Tensor($"{name}.counts", [1, .. experts], 0, [.. counts.SelectMany(BitConverter.GetBytes)]);
        }

        return file.ToArray();
    }
}
