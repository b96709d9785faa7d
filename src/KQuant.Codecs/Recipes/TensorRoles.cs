using System.Text.RegularExpressions;

namespace KQuant.Codecs.Recipes;

/// <summary>
/// Tells roles by name, for the names of mlx-lm and Hugging Face checkpoints and for those of GGUF files. The first rule that matches wins.
/// </summary>
public static partial class TensorRoles
{
    private static readonly (TensorRole Role, Regex Pattern)[] Rules =
    [
        (TensorRole.Tower, Tower),
        (TensorRole.Norm, Norm),
        (TensorRole.Convolution, Convolution),
        (TensorRole.Router, Router),
        (TensorRole.RoutedExpert, RoutedExpert),
        (TensorRole.SharedExpert, SharedExpert),
        (TensorRole.LinearAttention, LinearAttention),
        (TensorRole.AttentionOutput, AttentionOutput),
        (TensorRole.Attention, Attention),
        (TensorRole.OutputHead, OutputHead),
        (TensorRole.PerLayerEmbedding, PerLayerEmbedding),
        (TensorRole.PositionEmbedding, PositionEmbedding),
        (TensorRole.Embedding, Embedding),
        (TensorRole.FeedForward, FeedForward),
    ];

    [GeneratedRegex(
        @"(^|\.)(vision_tower|vision_model|visual|audio_tower|audio_model|multi_modal_projector|vl_connector|merger|connector"
        + @"|embed_vision|embed_audio)\.|^(v|mm|a)\.")]
    private static partial Regex Tower { get; }

    // The last word: input_layernorm, q_norm, ln_f; attn_norm, post_ffw_norm.
    [GeneratedRegex(@"(^|\.)[^.]*norm[^.]*$|(^|\.)ln_\w+$")]
    private static partial Regex Norm { get; }

    [GeneratedRegex(@"(^|[._])(conv|conv1d|conv2d|short_?conv)$")]
    private static partial Regex Convolution { get; }

    [GeneratedRegex(@"\.router(\.\w+)?$|\.gate$|\.shared_expert_gate$|\.ffn_gate_inp(_shexp)?$")]
    private static partial Regex Router { get; }

    [GeneratedRegex(@"\.(switch_mlp|switch_glu)\.\w+$|\.experts\.(\d+\.)?\w+$|\.ffn_(gate|up|down|gate_up)_exps$")]
    private static partial Regex RoutedExpert { get; }

    [GeneratedRegex(@"\.(shared_experts?|shared_mlp)\.\w+$|\.ffn_(gate|up|down)_shexp$")]
    private static partial Regex SharedExpert { get; }

    [GeneratedRegex(@"\.linear_attn\.\w+$|\.ssm_\w+$")]
    private static partial Regex LinearAttention { get; }

    [GeneratedRegex(@"\battn\.out_proj$")]
    private static partial Regex AttentionOutput { get; }

    [GeneratedRegex(@"\.(self_attn|attn|attention|self_attention)\.\w+$|\.attn_(q|k|v|qkv|output|q_a|q_b|kv_a_mqa|kv_b|k_b|v_b)$")]
    private static partial Regex Attention { get; }

    [GeneratedRegex(@"(^|\.)(lm_head|score|classifier)$|^output$")]
    private static partial Regex OutputHead { get; }

    [GeneratedRegex(@"\bembed_tokens_per_layer\b|^per_layer_token_embd$")]
    private static partial Regex PerLayerEmbedding { get; }

    [GeneratedRegex(@"\b(wpe|embed_positions|position_embeddings|token_type_embeddings)\b|^(position_embd|token_types)$")]
    private static partial Regex PositionEmbedding { get; }

    [GeneratedRegex(@"\b(embed_tokens|wte|word_embeddings)\b|^token_embd$")]
    private static partial Regex Embedding { get; }

    [GeneratedRegex(@"\.(mlp|feed_forward|ffn|block_sparse_moe)\.\w+$|\.ffn_(gate|up|down)$")]
    private static partial Regex FeedForward { get; }

    /// <summary>The role of a tensor.</summary>
    /// <param name="name">Its name, with or without <c>.weight</c>.</param>
    /// <returns>The role, <see cref="TensorRole.Other"/> when no rule matches.</returns>
    public static TensorRole Classify(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        const string Suffix = ".weight";
        string module = name.EndsWith(Suffix, StringComparison.Ordinal) ? name[..^Suffix.Length] : name;
        foreach ((TensorRole role, Regex pattern) in Rules)
        {
            if (pattern.IsMatch(module))
            {
                return role;
            }
        }

        return TensorRole.Other;
    }
}
