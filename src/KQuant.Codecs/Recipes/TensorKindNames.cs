using System.Text.RegularExpressions;

namespace KQuant.Codecs.Recipes;

/// <summary>
/// Tells kinds by name, in the spelling of GGUF files (as llama.cpp does: by parts of the name) and in those of checkpoints. The first rule
/// that matches wins.
/// </summary>
internal static partial class TensorKindNames
{
    private static readonly (TensorKinds Kind, Regex Pattern)[] Rules =
    [
        (TensorKinds.Output, Output),
        (TensorKinds.PerLayerEmbedding, PerLayerEmbedding),
        (TensorKinds.Embedding, Embedding),
        (TensorKinds.LinearOutput, LinearOutput),
        (TensorKinds.LinearQkv, LinearQkv),
        (TensorKinds.LinearGate, LinearGate),
        (TensorKinds.FusedQkv, FusedQkv),
        (TensorKinds.LatentKeyValue, LatentKeyValue),
        (TensorKinds.Value, Value),
        (TensorKinds.Key, Key),
        (TensorKinds.Query, Query),
        (TensorKinds.SelfOutput, AttentionOutput),
        (TensorKinds.DenseInput, Input),
        (TensorKinds.DenseDown, Down),
    ];

    [GeneratedRegex(@"^output\.weight$|(^|\.)lm_head\.weight$")]
    private static partial Regex Output { get; }

    [GeneratedRegex(@"^per_layer_token_embd\.weight$|\bembed_tokens_per_layer\.weight$")]
    private static partial Regex PerLayerEmbedding { get; }

    [GeneratedRegex(@"^token_embd\.weight$|(^|\.)(embed_tokens|wte|word_embeddings)\.weight$")]
    private static partial Regex Embedding { get; }

    [GeneratedRegex(@"\.linear_attn\.out_proj\.weight$|\.ssm_out\.weight$")]
    private static partial Regex LinearOutput { get; }

    [GeneratedRegex(@"\.linear_attn\.in_proj_(qkv|qkvz)\.weight$")]
    private static partial Regex LinearQkv { get; }

    [GeneratedRegex(@"\.linear_attn\.in_proj_z\.weight$|\.attn_gate\.weight$")]
    private static partial Regex LinearGate { get; }

    [GeneratedRegex(@"attn_qkv\.weight|\.(qkv_proj|query_key_value|c_attn|Wqkv|qkv)\.weight$")]
    private static partial Regex FusedQkv { get; }

    [GeneratedRegex(@"attn_kv_b\.weight|\.kv_b_proj\.weight$")]
    private static partial Regex LatentKeyValue { get; }

    [GeneratedRegex(@"attn_v\.weight|attn\.v_proj\.weight$")]
    private static partial Regex Value { get; }

    [GeneratedRegex(@"attn_k\.weight|attn\.k_proj\.weight$")]
    private static partial Regex Key { get; }

    [GeneratedRegex(@"attn_q\.weight|attn\.q_proj\.weight$")]
    private static partial Regex Query { get; }

    [GeneratedRegex(@"attn_output\.weight|(attn|attention)\.(o_proj|out_proj|dense)\.weight$")]
    private static partial Regex AttentionOutput { get; }

    [GeneratedRegex(@"ffn_up|ffn_gate|\.(gate_proj|up_proj|gate_up_proj|fc1|c_fc|w1|w3)\.weight$")]
    private static partial Regex Input { get; }

    [GeneratedRegex(@"ffn_down|\.(down_proj|fc2|w2)\.weight$")]
    private static partial Regex Down { get; }

    [GeneratedRegex(@"(^blk\.|(^|\.)(layers|h)\.)(?<layer>\d{1,6})\.")]
    private static partial Regex LayerPattern { get; }

    /// <summary>The kind of a tensor with a role.</summary>
    public static TensorKinds Classify(string name, TensorRole role)
    {
        foreach ((TensorKinds kind, Regex pattern) in Rules)
        {
            if (pattern.IsMatch(name))
            {
                return (kind, role) switch
                {
                    (TensorKinds.DenseInput, TensorRole.RoutedExpert) => TensorKinds.RoutedInput,
                    (TensorKinds.DenseInput, TensorRole.SharedExpert) => TensorKinds.SharedInput,
                    (TensorKinds.DenseDown, TensorRole.RoutedExpert) => TensorKinds.RoutedDown,
                    (TensorKinds.DenseDown, TensorRole.SharedExpert) => TensorKinds.SharedDown,
                    (TensorKinds.SelfOutput, TensorRole.AttentionOutput) => TensorKinds.OutsideOutput,
                    _ => kind,
                };
            }
        }

        return role switch
        {
            TensorRole.Attention => TensorKinds.OtherAttention,
            TensorRole.AttentionOutput => TensorKinds.OutsideOutput,
            TensorRole.LinearAttention => TensorKinds.OtherLinear,
            _ => TensorKinds.None,
        };
    }

    /// <summary>The number of the layer that a tensor belongs to; -1 for none.</summary>
    public static int LayerOf(string name) =>
        LayerPattern.Match(name) is { Success: true } match ? int.Parse(match.Groups["layer"].ValueSpan, System.Globalization.CultureInfo.InvariantCulture) : -1;
}
