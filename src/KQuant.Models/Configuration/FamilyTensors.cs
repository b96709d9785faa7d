using KQuant.Codecs.Files;

namespace KQuant.Models.Configuration;

/// <summary>What the tensors of a family are called in GGUF files and in checkpoints.</summary>
/// <param name="Names">All tensors, experts stacked.</param>
/// <param name="SingleExperts">GGUF stacks and what one expert of them is called in a checkpoint that does not stack.</param>
internal sealed record FamilyTensors(TensorNamePair[] Names, TensorNamePair[] SingleExperts)
{
    private static readonly TensorNamePair[] Common =
    [
        new("token_embd", "model.embed_tokens"), new("output_norm", "model.norm"), new("output", "lm_head"),
        Layer("attn_norm", "input_layernorm"), Layer("attn_q", "self_attn.q_proj"), Layer("attn_k", "self_attn.k_proj"),
        Layer("attn_v", "self_attn.v_proj"), Layer("attn_output", "self_attn.o_proj"),
    ];

    private static readonly TensorNamePair[] HeadNorms =
        [Layer("attn_q_norm", "self_attn.q_norm"), Layer("attn_k_norm", "self_attn.k_norm")];

    private static readonly TensorNamePair[] Dense =
        [Layer("ffn_gate", "mlp.gate_proj"), Layer("ffn_up", "mlp.up_proj"), Layer("ffn_down", "mlp.down_proj")];

    // The up projection has the rows of the gate first.
    private static readonly TensorNamePair[] FusedDense = [Layer("ffn_up", "mlp.gate_up_proj"), Layer("ffn_down", "mlp.down_proj")];

    // The norm before the feed-forward part is the one "after attention" in most families; Gemma, GLM and gpt-oss have another or one more
    // there.
    private static readonly TensorNamePair[] TwoNorms = [Layer("ffn_norm", "post_attention_layernorm")];

    private static readonly TensorNamePair[] OnlyPostAttentionNorm = [Layer("post_attention_norm", "post_attention_layernorm")];

    private static readonly TensorNamePair[] GemmaNorms =
    [
        Layer("post_attention_norm", "post_attention_layernorm"), Layer("ffn_norm", "pre_feedforward_layernorm"),
        Layer("post_ffw_norm", "post_feedforward_layernorm"),
    ];

    private static readonly TensorNamePair[] Glm4Norms =
    [
        Layer("post_attention_norm", "post_self_attn_layernorm"), Layer("ffn_norm", "post_attention_layernorm"),
        Layer("post_ffw_norm", "post_mlp_layernorm"),
    ];

    private static readonly TensorNamePair[] MixtralExperts =
    [
        Layer("ffn_gate_inp", "block_sparse_moe.gate"), Layer("ffn_gate_exps", "block_sparse_moe.switch_mlp.gate_proj"),
        Layer("ffn_up_exps", "block_sparse_moe.switch_mlp.up_proj"), Layer("ffn_down_exps", "block_sparse_moe.switch_mlp.down_proj"),
    ];

    private static readonly TensorNamePair[] MixtralSingleExperts =
    [
        Layer("ffn_gate_exps", "block_sparse_moe.experts.#.w1"), Layer("ffn_up_exps", "block_sparse_moe.experts.#.w3"),
        Layer("ffn_down_exps", "block_sparse_moe.experts.#.w2"),
    ];

    private static readonly TensorNamePair[] Experts =
    [
        Layer("ffn_gate_inp", "mlp.gate"), Layer("ffn_gate_exps", "mlp.switch_mlp.gate_proj"),
        Layer("ffn_up_exps", "mlp.switch_mlp.up_proj"), Layer("ffn_down_exps", "mlp.switch_mlp.down_proj"),
    ];

    private static readonly TensorNamePair[] SingleExpertNames =
    [
        Layer("ffn_gate_exps", "mlp.experts.#.gate_proj"), Layer("ffn_up_exps", "mlp.experts.#.up_proj"),
        Layer("ffn_down_exps", "mlp.experts.#.down_proj"),
    ];

    private static readonly TensorNamePair[] SharedExpert =
    [
        Layer("ffn_gate_inp_shexp", "mlp.shared_expert_gate"), Layer("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
        Layer("ffn_up_shexp", "mlp.shared_expert.up_proj"), Layer("ffn_down_shexp", "mlp.shared_expert.down_proj"),
    ];

    private static readonly TensorNamePair[] Glm4MoeExtras =
    [
        Layer("ffn_gate_shexp", "mlp.shared_experts.gate_proj"), Layer("ffn_up_shexp", "mlp.shared_experts.up_proj"),
        Layer("ffn_down_shexp", "mlp.shared_experts.down_proj"), Layer("exp_probs_b.bias", "mlp.gate.e_score_correction_bias"),
    ];

    private static readonly TensorNamePair[] GraniteExperts =
    [
        Layer("ffn_gate_inp", "block_sparse_moe.router.layer"), Layer("ffn_gate_exps", "block_sparse_moe.switch_mlp.gate_proj"),
        Layer("ffn_up_exps", "block_sparse_moe.switch_mlp.up_proj"), Layer("ffn_down_exps", "block_sparse_moe.switch_mlp.down_proj"),
        Layer("ffn_gate_shexp", "shared_mlp.gate_proj"), Layer("ffn_up_shexp", "shared_mlp.up_proj"),
        Layer("ffn_down_shexp", "shared_mlp.output_linear"),
    ];

    // Checkpoints keep the stacks under "experts", and the sinks without ".weight".
    private static readonly TensorNamePair[] GptOssExtras =
    [
        Layer("attn_sinks.weight", "self_attn.sinks"), Layer("ffn_gate_inp", "mlp.router"), Layer("ffn_gate_exps", "mlp.experts.gate_proj"),
        Layer("ffn_up_exps", "mlp.experts.up_proj"), Layer("ffn_down_exps", "mlp.experts.down_proj"),
    ];

    public static FamilyTensors Llama { get; } = new([.. Common, .. TwoNorms, .. Dense, .. MixtralExperts], MixtralSingleExperts);

    public static FamilyTensors Plain { get; } = new([.. Common, .. TwoNorms, .. Dense], []);

    public static FamilyTensors Qwen2Moe { get; } = new([.. Common, .. TwoNorms, .. Dense, .. Experts, .. SharedExpert], SingleExpertNames);

    public static FamilyTensors Qwen3 { get; } = new([.. Common, .. TwoNorms, .. HeadNorms, .. Dense], []);

    public static FamilyTensors Qwen3Moe { get; } = new([.. Common, .. TwoNorms, .. HeadNorms, .. Dense, .. Experts], SingleExpertNames);

    public static FamilyTensors Gemma2 { get; } = new([.. Common, .. GemmaNorms, .. Dense], []);

    public static FamilyTensors Gemma3 { get; } = new([.. Common, .. GemmaNorms, .. HeadNorms, .. Dense], []);

    public static FamilyTensors Phi3 { get; } = new([.. Common, Layer("attn_qkv", "self_attn.qkv_proj"), .. TwoNorms, .. FusedDense], []);

    public static FamilyTensors PhiMoe { get; } = new([.. Common, .. TwoNorms, .. MixtralExperts], MixtralSingleExperts);

    public static FamilyTensors GptOss { get; } = new([.. Common, .. OnlyPostAttentionNorm, .. GptOssExtras], []);

    public static FamilyTensors Glm4 { get; } = new([.. Common, .. Glm4Norms, .. FusedDense], []);

    public static FamilyTensors Glm4Moe { get; } = new(
        [.. Common, .. OnlyPostAttentionNorm, .. HeadNorms, .. Dense, .. Experts, .. Glm4MoeExtras], SingleExpertNames);

    public static FamilyTensors GraniteMoe { get; } = new([.. Common, .. TwoNorms, .. GraniteExperts], []);

    private static TensorNamePair Layer(string gguf, string checkpoint) => new($"blk.#.{gguf}", $"model.layers.#.{checkpoint}");
}
