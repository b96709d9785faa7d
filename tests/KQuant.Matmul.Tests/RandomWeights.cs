using KQuant.Codecs;

namespace KQuant.Matmul.Tests;

/// <summary>Rows of wire bytes in which every code and every packed scale occurs, and the float scales are ordinary numbers.</summary>
internal static class RandomWeights
{
    /// <param name="codec">The codec.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="random">Where the numbers come from.</param>
    /// <param name="factor">What all float scales and minima are; random if not given.</param>
    /// <param name="pattern">What the other bytes are, over and over again; random if not given.</param>
    public static byte[] Create(QuantCodec codec, int rows, int columns, Random random, Half? factor = null, byte[]? pattern = null)
    {
        byte[] bytes = new byte[rows * codec.GetByteCount(columns)];
        random.NextBytes(bytes);
        for (int i = 0; pattern is not null && i < bytes.Length; i++)
        {
            bytes[i] = pattern[i % pattern.Length];
        }

        for (int block = 0; block < bytes.Length; block += codec.BytesPerBlock)
        {
            foreach (int offset in codec.ScaleOffsets)
            {
                Half scale = factor ?? (Half)((random.NextDouble() - 0.3) * 0.01);
                BitConverter.TryWriteBytes(bytes.AsSpan(block + offset), scale);
            }
        }

        return bytes;
    }
}
