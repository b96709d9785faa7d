namespace KQuant.Codecs.Files;

/// <summary>Tensors that lie in no file in one piece, brought into memory.</summary>
internal static unsafe class TensorCopy
{
    private const int ChunkBytes = 1 << 20;

    /// <summary>Copies a tensor into memory of its own.</summary>
    /// <param name="tensor">A tensor with a codec.</param>
    /// <returns>The copy.</returns>
    public static QuantizedTensor Load(ModelTensor tensor)
    {
        var block = new NativeBlock(tensor.ByteCount);
        for (long offset = 0; offset < tensor.ByteCount; offset += ChunkBytes)
        {
            tensor.ReadBytes(offset, new Span<byte>(block.Pointer + offset, (int)Math.Min(ChunkBytes, tensor.ByteCount - offset)));
        }

        return QuantizedTensor.FromBlock(tensor.Codec!, tensor.GetQuantShape(), block);
    }
}
