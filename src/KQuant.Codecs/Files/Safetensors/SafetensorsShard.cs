using System.Buffers.Binary;

namespace KQuant.Codecs.Files;

/// <summary>One mapped file of a safetensors model. Opening it validates everything that the header says about the data.</summary>
internal sealed class SafetensorsShard : IDisposable
{
    private const int LengthBytes = 8;

    private SafetensorsShard(MappedFile file) => File = file;

    public MappedFile File { get; }

    public string Path => File.Path;

    /// <summary>Where the data section begins in the file.</summary>
    public long DataStart { get; private set; }

    /// <summary>Bytes of the data section.</summary>
    public long DataLength => File.Length - DataStart;

    /// <summary>The <c>__metadata__</c> of the header.</summary>
    public Dictionary<string, string> Metadata { get; private set; } = [];

    /// <summary>Maps a file and adds its tensors to the table of the model, in the order of their data.</summary>
    public static SafetensorsShard Open(string path, SafetensorsTable table)
    {
        var shard = new SafetensorsShard(MappedFile.Open(path));
        try
        {
            ReadOnlySpan<byte> header = shard.LocateHeader();
            int first = table.Count;
            var reader = new SafetensorsHeader(shard, header, table);
            shard.Metadata = reader.Read();
            shard.CheckTiling(table.SortFrom(first));
            return shard;
        }
        catch
        {
            shard.Dispose();
            throw;
        }
    }

    public void Dispose() => File.Dispose();

    private ReadOnlySpan<byte> LocateHeader()
    {
        if (ForeignContent.Describe(File) is string foreign)
        {
            throw new ModelFormatException(Path, foreign);
        }

        if (File.Length < LengthBytes)
        {
            throw new ModelFormatException(Path, $"the file has {File.Length} bytes, too few for the header length");
        }

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(File.UnsafeBytes(0, LengthBytes));
        if (length > SafetensorsLimits.MaxHeaderLength)
        {
            throw new ModelFormatException(
                Path, $"the header claims {length} bytes; at most {SafetensorsLimits.MaxHeaderLength} are allowed", offset: 0);
        }

        if (!File.Contains(LengthBytes, (long)length))
        {
            throw new ModelFormatException(
                Path, $"the header claims {length} bytes, but the file ends after {File.Length - LengthBytes}", offset: 0);
        }

        DataStart = LengthBytes + (long)length;
        return File.UnsafeBytes(LengthBytes, (int)length);
    }

    /// <summary>The tensors cover the data section: no byte belongs to two of them, none to no one.</summary>
    private void CheckTiling(ReadOnlySpan<SafetensorsTensor> tensors)
    {
        long end = 0;
        foreach (SafetensorsTensor tensor in tensors)
        {
            if (tensor.Begin != end)
            {
                string problem = tensor.Begin < end
                    ? $"the data begins at {tensor.Begin}, inside another tensor that ends at {end}"
                    : $"the data begins at {tensor.Begin} and leaves a hole of {tensor.Begin - end} bytes before it";
                throw new ModelFormatException(Path, problem, tensor.Name, tensor.Offset);
            }

            end += tensor.ByteCount;
        }

        if (end != DataLength)
        {
            throw new ModelFormatException(
                Path, $"the tensors take {end} bytes, but {DataLength} follow the header", offset: DataStart + end);
        }
    }
}
