using System.Runtime.InteropServices;
using KQuant.Codecs.Decoding;

namespace KQuant.Codecs.Tests.Decoding;

/// <summary>Blocks that no encoder made: any bytes, with factors that are numbers. What ggml's <c>dequantize_row_*</c> gives was recorded.</summary>
public class RandomBlockTests
{
    private const int Blocks = 64;

    /// <summary>A hash (FNV-1a) of all floats that ggml decodes, and the first and the last of them.</summary>
    [TestCase("q2_k", 0x6765369C92F01F06UL, -0.0054473877f, 3.03405762f)]
    [TestCase("q3_k", 0x476720EE59BA1976UL, 0.271560669f, 40.3710938f)]
    [TestCase("q4_k", 0xD0EABE1CAA5D33BFUL, 0.360477448f, 6.53546143f)]
    [TestCase("q5_k", 0xD7EC8A4B21AABD1CUL, -6.56382704f, -0.171318054f)]
    [TestCase("q6_k", 0xB8F608AC8B2B4856UL, 0.261998177f, 0.023162365f)]
    [TestCase("q4_0", 0xBE4024891470D9DFUL, -0.00126481056f, -3.02148438f)]
    [TestCase("q4_1", 0x67BD5A0DD49219F6UL, -1.12295675f, -0.0397586823f)]
    [TestCase("q5_0", 0x1B8F9ED60C6F3984UL, 0f, -0.122909546f)]
    [TestCase("q5_1", 0xCF47AE863AA8BFA4UL, 1.24670327f, 1.58826017f)]
    [TestCase("q8_0", 0x719ACF433BF58F9BUL, 0.777282715f, -0.34236908f)]
    [TestCase("iq4_nl", 0x1258FE65B8E8BA12UL, 0.082198143f, -176.5625f)]
    public void DecodeAsInGgml(string name, ulong hash, float first, float last)
    {
        string[] order = ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl"];
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        byte[] bytes = Make(codec!, (ulong)Array.IndexOf(order, name) + 1);
        var floats = new float[Blocks * codec!.WeightsPerBlock];
        codec.Decode(bytes, floats);
        Assert.That((floats[0], floats[^1]), Is.EqualTo((first, last)));
        Assert.That(Hash(floats), Is.EqualTo(hash));

        // Every tier, in pieces of every size.
        foreach (DecodeKernel kernel in DecodeKernels.All.Where(kernel => kernel.Codec == codec && kernel.IsSupported))
        {
            Assert.That(DecodeBy(kernel, bytes, codec), Is.EqualTo(floats), kernel.ToString());
        }
    }

    private static unsafe float[] DecodeBy(DecodeKernel kernel, byte[] bytes, QuantCodec codec)
    {
        var floats = new float[Blocks * codec.WeightsPerBlock];
        fixed (byte* source = bytes)
        fixed (float* destination = floats)
        {
            for (int block = 0, count = 1; block < Blocks; block += count, count = Math.Min(count + 1, Blocks - block))
            {
                kernel.Run(source + (block * codec.BytesPerBlock), destination + (block * codec.WeightsPerBlock), count);
            }
        }

        return floats;
    }

    // As the program that recorded them made them: a linear congruential generator, and factors without the exponent's highest bit.
    private static byte[] Make(QuantCodec codec, ulong state)
    {
        var bytes = new byte[Blocks * codec.BytesPerBlock];
        for (int i = 0; i < bytes.Length; i++)
        {
            state = unchecked((state * 6364136223846793005UL) + 1442695040888963407UL);
            bytes[i] = (byte)(state >> 56);
        }

        for (int block = 0; block < bytes.Length; block += codec.BytesPerBlock)
        {
            foreach (int offset in codec.ScaleOffsets)
            {
                bytes[block + offset + 1] &= 0xBF;
            }
        }

        return bytes;
    }

    private static ulong Hash(float[] floats)
    {
        ulong hash = 14695981039346656037UL;
        foreach (byte b in MemoryMarshal.AsBytes<float>(floats))
        {
            hash = unchecked((hash ^ b) * 1099511628211UL);
        }

        return hash;
    }
}
