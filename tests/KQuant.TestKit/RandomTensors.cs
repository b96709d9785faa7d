using System.Runtime.InteropServices;
using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>Tensors of random wire bytes: every code and every integer scale occurs, the float scales are ordinary numbers.</summary>
public static class RandomTensors
{
    /// <summary>A matrix, or a stack of them. The same arguments give the same bytes.</summary>
    public static QuantizedTensor Create(QuantFormat format, QuantShape shape, int seed = 1) => Create(QuantCodec.Get(format), shape, seed);

    /// <summary>A matrix, or a stack of them. The same arguments give the same bytes.</summary>
    public static QuantizedTensor Create(QuantCodec codec, QuantShape shape, int seed = 1)
    {
        if (codec.IsQuantized && codec.ScaleOffsets.IsEmpty)
        {
            // Random scales of eight bits would reach from nothing to infinity.
            return QuantizedTensor.Encode(codec, shape, [.. Numbers.Gaussian((int)shape.TotalWeights, seed).Select(value => 0.05f * value)]);
        }

        var random = new Random(seed);
        var bytes = new byte[checked(codec.GetByteCount(shape.Columns) * shape.TotalRows)];
        random.NextBytes(bytes);
        foreach (int offset in codec.ScaleOffsets)
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

            codec.Encode(values, bytes);
        }

        return QuantizedTensor.FromMemory(codec, shape, bytes);
    }

    /// <summary>The wire bytes of all rows of a tensor.</summary>
    public static byte[] BytesOf(QuantizedTensor tensor)
    {
        var bytes = new byte[tensor.ByteCount];
        int start = 0;
        for (int plane = 0; plane < tensor.Codec.Planes.Length; plane++)
        {
            int rowBytes = (int)tensor.GetRowByteCount(plane);
            for (long row = 0; row < tensor.Shape.TotalRows; row++, start += rowBytes)
            {
                tensor.CopyRowBytes(row, bytes.AsSpan(start, rowBytes), plane);
            }
        }

        return bytes;
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
}
