using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Configuration;

/// <summary>The names of both sides, architecture by architecture.</summary>
public class ModelTensorNamesTests
{
    [TestCase("llama", "token_embd.weight", "model.embed_tokens.weight")]
    [TestCase("llama", "output_norm.weight", "model.norm.weight")]
    [TestCase("llama", "output.weight", "lm_head.weight")]
    [TestCase("llama", "blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight")]
    [TestCase("llama", "blk.31.attn_q.weight", "model.layers.31.self_attn.q_proj.weight")]
    [TestCase("llama", "blk.7.attn_output.weight", "model.layers.7.self_attn.o_proj.weight")]
    [TestCase("llama", "blk.7.ffn_norm.weight", "model.layers.7.post_attention_layernorm.weight")]
    [TestCase("llama", "blk.7.ffn_gate", "model.layers.7.mlp.gate_proj")]
    [TestCase("mixtral", "blk.7.ffn_gate_inp.weight", "model.layers.7.block_sparse_moe.gate.weight")]
    [TestCase("mixtral", "blk.7.ffn_up_exps.weight", "model.layers.7.block_sparse_moe.switch_mlp.up_proj.weight")]
    [TestCase("qwen2", "blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias")]
    [TestCase("qwen2_moe", "blk.0.ffn_gate_inp_shexp.weight", "model.layers.0.mlp.shared_expert_gate.weight")]
    [TestCase("qwen2_moe", "blk.0.ffn_down_shexp.weight", "model.layers.0.mlp.shared_expert.down_proj.weight")]
    [TestCase("qwen3", "blk.0.attn_q_norm.weight", "model.layers.0.self_attn.q_norm.weight")]
    [TestCase("qwen3moe", "blk.0.ffn_gate_inp.weight", "model.layers.0.mlp.gate.weight")]
    [TestCase("qwen3moe", "blk.0.ffn_gate_exps.weight", "model.layers.0.mlp.switch_mlp.gate_proj.weight")]
    [TestCase("gemma2", "blk.0.ffn_norm.weight", "model.layers.0.pre_feedforward_layernorm.weight")]
    [TestCase("gemma2", "blk.0.post_attention_norm.weight", "model.layers.0.post_attention_layernorm.weight")]
    [TestCase("gemma3_text", "blk.0.post_ffw_norm.weight", "model.layers.0.post_feedforward_layernorm.weight")]
    [TestCase("gemma3", "blk.0.attn_k_norm.weight", "model.layers.0.self_attn.k_norm.weight")]
    [TestCase("phi3", "blk.0.attn_qkv.weight", "model.layers.0.self_attn.qkv_proj.weight")]
    [TestCase("phi3", "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj.weight")]
    [TestCase("phimoe", "blk.0.ffn_down_exps.weight", "model.layers.0.block_sparse_moe.switch_mlp.down_proj.weight")]
    [TestCase("gpt_oss", "blk.0.attn_sinks.weight", "model.layers.0.self_attn.sinks")]
    [TestCase("gpt-oss", "blk.0.ffn_gate_inp.bias", "model.layers.0.mlp.router.bias")]
    [TestCase("gpt-oss", "blk.0.ffn_down_exps.bias", "model.layers.0.mlp.experts.down_proj.bias")]
    [TestCase("gpt-oss", "blk.0.post_attention_norm.weight", "model.layers.0.post_attention_layernorm.weight")]
    [TestCase("glm4", "blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight")]
    [TestCase("glm4", "blk.0.post_attention_norm.weight", "model.layers.0.post_self_attn_layernorm.weight")]
    [TestCase("glm4", "blk.0.post_ffw_norm.weight", "model.layers.0.post_mlp_layernorm.weight")]
    [TestCase("glm4_moe", "blk.1.exp_probs_b.bias", "model.layers.1.mlp.gate.e_score_correction_bias")]
    [TestCase("glm4_moe", "blk.1.ffn_up_shexp.weight", "model.layers.1.mlp.shared_experts.up_proj.weight")]
    public void BothWays(string architecture, string gguf, string checkpoint)
    {
        TensorNames names = ModelTensorNames.For(architecture);
        Assert.That(names.TryToGguf(checkpoint, out string? toGguf) ? toGguf : null, Is.EqualTo(gguf));
        Assert.That(names.TryToCheckpoint(gguf, out string? toCheckpoint) ? toCheckpoint : null, Is.EqualTo(checkpoint));
    }

    [TestCase("qwen3_moe", "blk.2.ffn_gate_exps.weight", 17, "model.layers.2.mlp.experts.17.gate_proj.weight")]
    [TestCase("mixtral", "blk.2.ffn_gate_exps.weight", 0, "model.layers.2.block_sparse_moe.experts.0.w1.weight")]
    [TestCase("mixtral", "blk.2.ffn_down_exps.weight", 7, "model.layers.2.block_sparse_moe.experts.7.w2.weight")]
    [TestCase("mixtral", "blk.2.ffn_up_exps.weight", 7, "model.layers.2.block_sparse_moe.experts.7.w3.weight")]
    public void SingleExpertsBelongToAStack(string architecture, string gguf, int expert, string checkpoint)
    {
        TensorNames names = ModelTensorNames.For(architecture);
        Assert.That(names.TryToGguf(checkpoint, out string? stack, out int? number));
        Assert.That((stack, number), Is.EqualTo((gguf, (int?)expert)));
        Assert.That(names.TryToExpert(gguf, expert, out string? name) ? name : null, Is.EqualTo(checkpoint));
    }

    [TestCase("language_model.model.layers.0.mlp.up_proj.weight")]
    [TestCase("model.language_model.layers.0.mlp.up_proj.weight")]
    public void PrefixesOfMultimodalModelsAreIgnored(string name)
    {
        Assert.That(ModelTensorNames.For("gemma3").TryToGguf(name, out string? gguf) ? gguf : null, Is.EqualTo("blk.0.ffn_up.weight"));
    }

    [TestCase("model.layers.0.self_attn.rotary_emb.inv_freq")]
    [TestCase("model.layers.0.mlp.experts.gate_up_proj")]
    [TestCase("model.layers.x.mlp.up_proj.weight")]
    [TestCase("model.layers.0.mlp.up_proj.scales")]
    [TestCase("model.layers.-1.mlp.up_proj.weight")]
    [TestCase("model.layers.#.mlp.up_proj.weight")]
    [TestCase("model.layers.99999999999.mlp.up_proj.weight")]
    [TestCase("blk.0.ffn_up.weight")]
    [TestCase(".weight")]
    [TestCase("")]
    public void OtherNamesAreNotKnown(string name) => Assert.That(ModelTensorNames.For("qwen3moe").TryToGguf(name, out _), Is.False);

    [TestCase("rope_freqs.weight")]
    [TestCase("blk.0.ssm_a")]
    [TestCase("blk.#.ffn_up.weight")]
    [TestCase("blk.0")]
    [TestCase("")]
    public void OtherGgufNamesAreNotKnown(string name) => Assert.That(ModelTensorNames.For("llama").TryToCheckpoint(name, out _), Is.False);

    [Test]
    public void ADenseWeightHasNoSingleExperts() =>
        Assert.That(ModelTensorNames.For("mixtral").TryToExpert("blk.0.attn_q.weight", 1, out _), Is.False);

    [Test]
    public void AnUnknownArchitectureIsRefusedWithTheKnownOnes()
    {
        Assert.That(ModelTensorNames.TryFor(null, out _), Is.False);
        Assert.That(
            () => ModelTensorNames.For("mamba"),
            Throws.TypeOf<NotSupportedException>()
                .With.Message.Contains("'mamba'").And.Message.Contains("qwen3moe").And.Message.Contains("gpt-oss"));
    }

    [Test]
    public void TheModelsOfTheFixturesAreKnownCompletely()
    {
        // The names in the headers of the two checkpoints, read without the product's reader.
        (string Model, string Architecture)[] models = [("tiny-dense", "qwen3"), ("tiny-moe", "qwen3_moe")];
        foreach ((string model, string architecture) in models)
        {
            byte[] file = File.ReadAllBytes(RepositoryFiles.Fixture("models", model, "model.safetensors"));
            using var header = JsonDocument.Parse(file.AsMemory(8, (int)BitConverter.ToInt64(file)));
            TensorNames names = ModelTensorNames.For(architecture);
            foreach (JsonProperty tensor in header.RootElement.EnumerateObject())
            {
                Assert.That(tensor.Name == "__metadata__" || names.TryToGguf(tensor.Name, out _), tensor.Name);
            }
        }
    }
}
