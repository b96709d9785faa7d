using System.Buffers.Binary;
using System.Text;

namespace KQuant.TestKit;

/// <summary>
/// safetensors files put together by hand, so that a test can say anything in a header; a second implementation beside the writer.
/// </summary>
public static class SafetensorsBytes
{
    /// <summary>A file of a header, as it is, and data.</summary>
    public static byte[] Build(string header, ReadOnlySpan<byte> data) => Build(Encoding.UTF8.GetBytes(header), data);

    /// <summary>A file of a header, as it is, and data.</summary>
    public static byte[] Build(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data)
    {
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data];
    }

    /// <summary>A well-formed file with these tensors one after the other.</summary>
    public static byte[] Build(params (string Name, string Type, long[] Shape, byte[] Data)[] tensors)
    {
        long begin = 0;
        var header = new StringBuilder("{");
        var data = new List<byte>();
        foreach ((string name, string type, long[] shape, byte[] bytes) in tensors)
        {
            string separator = begin == 0 && header.Length == 1 ? "" : ",";
            header.Append($"{separator}\"{name}\":{{\"dtype\":\"{type}\",\"shape\":[{string.Join(",", shape)}],")
                .Append($"\"data_offsets\":[{begin},{begin + bytes.Length}]}}");
            begin += bytes.Length;
            data.AddRange(bytes);
        }

        return Build(header.Append('}').ToString(), data.ToArray());
    }
}
