using System.Collections.Frozen;

namespace KQuant.Codecs.Files;

/// <summary>
/// The types that llama.cpp reads known keys as: it refuses a file that has another one. Keys of an architecture are known by what follows its
/// name.
/// </summary>
internal static class GgufKeys
{
    private static readonly FrozenDictionary<string, GgufValueType> OfArchitectures = Types(
        (GgufValueType.UInt32,
        [
            "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size", "leading_dense_block_count",
            "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.sliding_window",
            "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "expert_shared_feed_forward_length",
            "rope.dimension_count", "rope.scaling.original_context_length",
        ]),
        (GgufValueType.Float32,
        [
            "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.scale", "attn_logit_softcapping",
            "final_logit_softcapping", "embedding_scale", "expert_weights_scale", "logit_scale", "residual_scale", "rope.freq_base",
            "rope.freq_base_swa", "rope.scaling.factor", "rope.scaling.attn_factor", "rope.scaling.yarn_log_multiplier",
            "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
        ]),
        (GgufValueType.Bool, ["expert_weights_norm", "attention.causal", "use_parallel_residual"]),
        (GgufValueType.String, ["rope.scaling.type"]));

    private static readonly FrozenDictionary<string, GgufValueType> OfFiles = Types(
        (GgufValueType.UInt32,
        [
            "general.alignment", "general.file_type", "general.quantization_version", "quantize.imatrix.entries_count",
            "quantize.imatrix.chunks_count", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
            "tokenizer.ggml.eom_token_id", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.seperator_token_id",
            "tokenizer.ggml.padding_token_id", "tokenizer.ggml.cls_token_id", "tokenizer.ggml.mask_token_id",
        ]),
        (GgufValueType.Bool, ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_space_prefix"]),
        (GgufValueType.String,
        [
            "general.architecture", "general.type", "general.name", "general.size_label", "tokenizer.ggml.model", "tokenizer.ggml.pre",
            "tokenizer.chat_template",
        ]),
        (GgufValueType.UInt16, ["split.no", "split.count"]),
        (GgufValueType.Int32, ["split.tensors.count"]));

    /// <summary>The type of a key; null when it is not known.</summary>
    public static GgufValueType? TypeOf(string key) =>
        OfFiles.TryGetValue(key, out GgufValueType type) ? type
        : key.IndexOf('.', StringComparison.Ordinal) is > 0 and int dot && OfArchitectures.TryGetValue(key[(dot + 1)..], out type) ? type
        : null;

    private static FrozenDictionary<string, GgufValueType> Types(params ReadOnlySpan<(GgufValueType Type, string[] Keys)> groups)
    {
        var types = new Dictionary<string, GgufValueType>();
        foreach ((GgufValueType type, string[] keys) in groups)
        {
            foreach (string key in keys)
            {
                types.Add(key, type);
            }
        }

        return types.ToFrozenDictionary();
    }
}
