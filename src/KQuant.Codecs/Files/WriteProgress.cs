namespace KQuant.Codecs.Files;

/// <summary>How far the writing of a model has come.</summary>
/// <param name="TensorName">The tensor being written.</param>
/// <param name="TensorIndex">Its number, counted from 0 in the order of writing.</param>
/// <param name="TensorCount">Tensors in total.</param>
/// <param name="BytesWritten">Bytes of tensor data written so far, over all files.</param>
/// <param name="TotalBytes">Bytes of tensor data in total.</param>
public readonly record struct WriteProgress(string TensorName, int TensorIndex, int TensorCount, long BytesWritten, long TotalBytes);
