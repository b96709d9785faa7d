using System.Runtime.InteropServices;
using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>Tensors of random wire bytes: every code and every integer scale occurs, the float scales are ordinary numbers.</summary>
public static class RandomTensors
{
    /// <summary>A matrix, or a stack of them. The same arguments give the same bytes.</summary>
    public static QuantizedTensor Create(QuantFormat format, QuantShape shape, int seed = 1)
    {
        QuantCodec codec = QuantCodec.Get(format);
        var random = new Random(seed);
        var bytes = new byte[checked(codec.GetByteCount(shape.Columns) * shape.TotalRows)];
        random.NextBytes(bytes);
        foreach (int offset in ScaleOffsets(format))
        {
            for (int block = 0; block < bytes.Length; block += codec.BytesPerBlock)
            {
                // Minima and the scales of signed codes have either sign.
                float scale = (0.01f + (0.02f * random.NextSingle())) * (random.Next(4) == 0 ? -1 : 1);
                MemoryMarshal.Write(bytes.AsSpan(block + offset), (Half)scale);
            }
        }

        if (!codec.IsQuantized)
        {
            var values = new float[shape.TotalWeights];
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = (2 * random.NextSingle()) - 1;
            }

            Write(format, values, bytes);
        }

        return QuantizedTensor.FromMemory(codec, shape, bytes);
    }

    /// <summary>All weights of a tensor, decoded.</summary>
    public static float[] Decode(QuantizedTensor tensor)
    {
        var weights = new float[tensor.Shape.TotalWeights];
        for (long row = 0; row < tensor.Shape.TotalRows; row++)
        {
            tensor.DecodeRow(row, weights.AsSpan((int)row * tensor.Shape.Columns, tensor.Shape.Columns));
        }

        return weights;
    }

    /// <summary>Where the binary16 scales and minima of a block lie.</summary>
    public static int[] ScaleOffsets(QuantFormat format) => format switch
    {
        QuantFormat.Q4_0 or QuantFormat.Q5_0 or QuantFormat.Q8_0 => [0],
        QuantFormat.Q4_1 or QuantFormat.Q5_1 or QuantFormat.Q4_K or QuantFormat.Q5_K => [0, 2],
        QuantFormat.Q2_K => [80, 82],
        QuantFormat.Q3_K => [108],
        QuantFormat.Q6_K => [208],
        _ => [],
    };

    private static void Write(QuantFormat format, float[] values, Span<byte> bytes)
    {
        for (int i = 0; i < values.Length; i++)
        {
            switch (format)
            {
                case QuantFormat.F32: MemoryMarshal.Write(bytes[(4 * i)..], values[i]); break;
                case QuantFormat.F16: MemoryMarshal.Write(bytes[(2 * i)..], (Half)values[i]); break;
                default: MemoryMarshal.Write(bytes[(2 * i)..], (BFloat16)values[i]); break;
            }
        }
    }
}
