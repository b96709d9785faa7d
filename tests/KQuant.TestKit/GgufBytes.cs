using System.Text;

namespace KQuant.TestKit;

/// <summary>
/// Builds GGUF files byte by byte, well-formed or not: independent of the product's writer, so that tests of the reader do not rest on it.
/// </summary>
public sealed class GgufBytes
{
    private readonly List<byte> _keys = [];
    private readonly List<(string Name, long[] Dimensions, uint Type, byte[] Data)> _tensors = [];
    private ulong _keyCount;

    public uint Version { get; init; } = 3;

    public int Alignment { get; init; } = 32;

    public static byte[] Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return [.. BitConverter.GetBytes((ulong)utf8.Length), .. utf8];
    }

    /// <summary>Adds a key with a value in wire form.</summary>
    public GgufBytes Key(string key, uint type, params byte[] value)
    {
        _keys.AddRange(Text(key));
        _keys.AddRange(BitConverter.GetBytes(type));
        _keys.AddRange(value);
        _keyCount++;
        return this;
    }

    public GgufBytes Key(string key, string value) => Key(key, 8, Text(value));

    public GgufBytes Key(string key, uint value) => Key(key, 4, BitConverter.GetBytes(value));

    public GgufBytes Key(string key, ushort value) => Key(key, 2, BitConverter.GetBytes(value));

    public GgufBytes Key(string key, int value) => Key(key, 5, BitConverter.GetBytes(value));

    public GgufBytes Array(string key, uint elementType, long count, params byte[] elements) =>
        Key(key, 9, [.. BitConverter.GetBytes(elementType), .. BitConverter.GetBytes(count), .. elements]);

    public GgufBytes Strings(string key, params string[] values) => Array(key, 8, values.Length, [.. values.SelectMany(Text)]);

    public GgufBytes Tensor(string name, long[] dimensions, uint type, byte[] data)
    {
        _tensors.Add((name, dimensions, type, data));
        return this;
    }

    /// <summary>Adds an F32 vector.</summary>
    public GgufBytes Tensor(string name, params float[] values) =>
        Tensor(name, [values.Length], 0, [.. values.SelectMany(BitConverter.GetBytes)]);

    /// <summary>The file up to where the data begins; data then follows tensor by tensor, each padded.</summary>
    public byte[] Header()
    {
        var header = new MemoryStream();
        header.Write("GGUF"u8);
        header.Write(BitConverter.GetBytes(Version));
        header.Write(BitConverter.GetBytes((ulong)_tensors.Count));
        header.Write(BitConverter.GetBytes(_keyCount));
        header.Write([.. _keys]);
        long offset = 0;
        foreach ((string name, long[] dimensions, uint type, byte[] data) in _tensors)
        {
            header.Write(Text(name));
            header.Write(BitConverter.GetBytes(dimensions.Length));
            foreach (long dimension in dimensions)
            {
                header.Write(BitConverter.GetBytes(dimension));
            }

            header.Write(BitConverter.GetBytes(type));
            header.Write(BitConverter.GetBytes(offset));
            offset += Padded(data.Length);
        }

        header.SetLength(Padded(header.Length));
        return header.ToArray();
    }

    public byte[] ToArray()
    {
        var file = new MemoryStream();
        file.Write(Header());
        foreach ((_, _, _, byte[] data) in _tensors)
        {
            file.Write(data);
            file.SetLength(Padded(file.Length));
            file.Position = file.Length;
        }

        return file.ToArray();
    }

    private long Padded(long length) => (length + Alignment - 1) / Alignment * Alignment;
}
