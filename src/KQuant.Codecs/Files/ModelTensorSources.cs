using System.Buffers;

namespace KQuant.Codecs.Files;

/// <summary>What every <see cref="IModelTensorSource"/> can do.</summary>
public static class ModelTensorSources
{
    private const int CopyBufferBytes = 1 << 20;

    /// <summary>Number of weights.</summary>
    /// <param name="tensor">A tensor.</param>
    /// <returns>The product of the dimensions.</returns>
    public static long GetWeightCount(this IModelTensorSource tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return TensorShapes.Product(tensor.Shape.AsSpan());
    }

    /// <summary>The dimensions as experts, rows and columns; see <see cref="SafetensorsTensor.AsWeights()"/>.</summary>
    /// <param name="tensor">A tensor.</param>
    /// <returns>The shape.</returns>
    /// <exception cref="NotSupportedException">A row has more than 2^31 - 1 weights.</exception>
    public static QuantShape GetQuantShape(this IModelTensorSource tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return TensorShapes.TryGetQuantShape(tensor.Shape.AsSpan(), out QuantShape shape)
            ? shape
            : throw new NotSupportedException(
                $"Tensor '{tensor.Name}' has rows of {tensor.Shape[^1]} weights; {int.MaxValue} is the longest.");
    }

    /// <summary>Writes the stored bytes as they are, a megabyte at a time.</summary>
    /// <param name="tensor">A tensor.</param>
    /// <param name="stream">Where they go.</param>
    public static void CopyTo(this IModelTensorSource tensor, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentNullException.ThrowIfNull(stream);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(CopyBufferBytes);
        try
        {
            for (long offset = 0; offset < tensor.ByteCount;)
            {
                int count = (int)Math.Min(buffer.Length, tensor.ByteCount - offset);
                tensor.ReadBytes(offset, buffer.AsSpan(0, count));
                stream.Write(buffer, 0, count);
                offset += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
