namespace KQuant.Codecs.Files;

/// <summary>How far a run through the tensors of a model has come: writing it, or checking it.</summary>
/// <param name="TensorName">The tensor in hand.</param>
/// <param name="TensorIndex">Its number, counted from 0 in the order of the run.</param>
/// <param name="TensorCount">Tensors in total.</param>
/// <param name="BytesDone">Bytes of tensor data written (or checked) so far, over all files.</param>
/// <param name="TotalBytes">Bytes of tensor data in total.</param>
public readonly record struct ModelProgress(string TensorName, int TensorIndex, int TensorCount, long BytesDone, long TotalBytes);
