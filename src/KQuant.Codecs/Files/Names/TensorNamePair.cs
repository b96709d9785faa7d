namespace KQuant.Codecs.Files;

/// <summary>One tensor in both spellings, without <c>.weight</c> or <c>.bias</c> unless only one of the two has it.</summary>
internal readonly record struct TensorNamePair(string Gguf, string Checkpoint);
