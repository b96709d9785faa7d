using KQuant.Codecs;

namespace KQuant.Matmul.Tests;

/// <summary>Rows of wire bytes in which every code and every packed scale occurs, and the float scales are ordinary numbers.</summary>
internal static class RandomWeights
{
    /// <param name="format">The format.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="random">Where the numbers come from.</param>
    /// <param name="factor">What all float scales and minima are; random if not given.</param>
    /// <param name="pattern">What the other bytes are, over and over again; random if not given.</param>
    public static byte[] Create(QuantFormat format, int rows, int columns, Random random, Half? factor = null, byte[]? pattern = null)
    {
        QuantCodec codec = QuantCodec.Get(format);
        byte[] bytes = new byte[rows * codec.GetByteCount(columns)];
        random.NextBytes(bytes);
        for (int i = 0; pattern is not null && i < bytes.Length; i++)
        {
            bytes[i] = pattern[i % pattern.Length];
        }

        for (int block = 0; block < bytes.Length; block += codec.BytesPerBlock)
        {
            foreach (int offset in ScaleOffsets(format))
            {
                Half scale = factor ?? (Half)((random.NextDouble() - 0.3) * 0.01);
                BitConverter.TryWriteBytes(bytes.AsSpan(block + offset), scale);
            }
        }

        return bytes;
    }

    /// <summary>Where the binary16 numbers of a block are.</summary>
    public static int[] ScaleOffsets(QuantFormat format) => format switch
    {
        QuantFormat.Q4_0 or QuantFormat.Q5_0 or QuantFormat.Q8_0 => [0],
        QuantFormat.Q4_1 or QuantFormat.Q5_1 or QuantFormat.Q4_K or QuantFormat.Q5_K => [0, 2],
        QuantFormat.Q2_K => [80, 82],
        QuantFormat.Q3_K => [108],
        QuantFormat.Q6_K => [208],
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, null),
    };
}
