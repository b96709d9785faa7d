namespace KQuant.Codecs.Files;

/// <summary>A run of rows inside a stored tensor: all of it, one expert of a stack, or the gate half of a fused one.</summary>
/// <param name="Tensor">The stored tensor.</param>
/// <param name="Offset">Where the run begins in it, in bytes.</param>
/// <param name="Scale">What decodes the tensor, all of which is then the run, to float32; null for one that is stored as it is read.</param>
internal readonly record struct TensorPart(SafetensorsTensor Tensor, long Offset, Fp8Scale? Scale = null);
