namespace KQuant.Codecs.Files;

/// <summary>Everything before the tensor data of one GGUF file.</summary>
internal sealed record GgufHeader(uint Version, GgufMetadata Metadata, IReadOnlyList<GgufTensor> Tensors);
