using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace KQuant.Codecs.Files;

/// <summary>Tells a model from others without reading all of it: names, and the beginning, the middle and the end of each tensor.</summary>
internal static class SourceDigest
{
    private const int SampleBytes = 4096;

    /// <summary>Appends a text and its length.</summary>
    public static void Append(IncrementalHash hash, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, utf8.Length);
        hash.AppendData(length);
        hash.AppendData(utf8);
    }

    /// <summary>Appends what a tensor is and some of its bytes.</summary>
    public static void Append(IncrementalHash hash, ModelTensor tensor)
    {
        Append(hash, $"{tensor.Name} {tensor.FormatName} {string.Join(',', tensor.Shape)}");
        byte[] sample = new byte[(int)Math.Min(SampleBytes, tensor.ByteCount)];
        foreach (long offset in (ReadOnlySpan<long>)[0, (tensor.ByteCount - sample.Length) / 2, tensor.ByteCount - sample.Length])
        {
            tensor.ReadBytes(offset, sample);
            hash.AppendData(sample);
        }
    }
}
