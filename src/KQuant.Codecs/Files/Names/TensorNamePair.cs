namespace KQuant.Codecs.Files;

/// <summary>
/// One tensor in both spellings, without <c>.weight</c> or <c>.bias</c> unless only one of the two has it; <c>#</c> stands for a number,
/// first the layer, then the expert.
/// </summary>
/// <param name="Gguf">The name in a GGUF file: <c>blk.#.ffn_down</c>.</param>
/// <param name="Checkpoint">The name in a checkpoint: <c>model.layers.#.mlp.down_proj</c>.</param>
public readonly record struct TensorNamePair(string Gguf, string Checkpoint);
