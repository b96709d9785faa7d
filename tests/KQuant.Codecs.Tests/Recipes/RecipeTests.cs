using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Codecs.Tests.Recipes;

public class RecipeTests
{
    private const string Layers = "model.layers.";

    [Test]
    public void ThePresetsAreThoseOfMlxKquantAndOfLlamaCpp() => Assert.That(
        QuantizationRecipe.All.Select(recipe => recipe.Name),
        Is.EqualTo((string[])
        [
            "q2_k", "q3_k_m", "q4_k_s", "q4_k_m", "q4_k_moe", "q4_k_xl", "q5_k_s", "q5_k_m", "q5_k_moe", "q5_k_xl", "q6_k", "q6_k_xl", "q8",
            "llama.q2_k", "llama.q2_k_s", "llama.q3_k_s", "llama.q3_k_m", "llama.q3_k_l", "llama.q4_k_s", "llama.q4_k_m", "llama.q5_k_s",
            "llama.q5_k_m", "llama.q6_k", "llama.q8_0", "llama.q4_0", "llama.q4_1", "llama.q5_0", "llama.q5_1",
        ]));

    // From the description of mlx-kquant 0.1.0: default, output, v, linear output, o, shared down, routed down, in_proj_qkv, in_proj_z, down
    // in layer 3 (of 16, where no more bits are used), down in layer 4 (where they are).
    [TestCase("q2_k", "q2_k q3_k q3_k q3_k q2_k q2_k q2_k q2_k q2_k q2_k q2_k")]
    [TestCase("q3_k_m", "q3_k q5_k q5_k q5_k q3_k q3_k q3_k q3_k q3_k q3_k q5_k")]
    [TestCase("q4_k_s", "q4_k q6_k q6_k q5_k q4_k q4_k q4_k q4_k q4_k q4_k q4_k")]
    [TestCase("q4_k_m", "q4_k q6_k q6_k q5_k q4_k q4_k q4_k q4_k q4_k q4_k q6_k")]
    [TestCase("q4_k_moe", "q4_k q6_k q6_k q5_k q4_k q5_k q4_k q4_k q4_k q4_k q6_k")]
    [TestCase("q4_k_xl", "q4_k q6_k q6_k q8_0 q4_k q6_k q6_k q6_k q5_k q6_k q6_k")]
    [TestCase("q5_k_s", "q5_k q6_k q6_k q6_k q5_k q5_k q5_k q5_k q5_k q5_k q5_k")]
    [TestCase("q5_k_m", "q5_k q6_k q6_k q6_k q5_k q5_k q5_k q5_k q5_k q5_k q6_k")]
    [TestCase("q5_k_moe", "q5_k q6_k q6_k q6_k q5_k q6_k q5_k q5_k q5_k q5_k q6_k")]
    [TestCase("q5_k_xl", "q5_k q6_k q6_k q8_0 q5_k q6_k q6_k q6_k q6_k q6_k q6_k")]
    [TestCase("q6_k", "q6_k q6_k q6_k q6_k q6_k q6_k q6_k q6_k q6_k q6_k q6_k")]
    [TestCase("q6_k_xl", "q6_k q8_0 q8_0 q8_0 q6_k q6_k q6_k q8_0 q8_0 q6_k q8_0")]
    [TestCase("q8", "q8_0 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0 q8_0")]
    public void APresetOfMlxKquantDecidesAsDescribed(string preset, string expected)
    {
        string[] names =
        [
            Layers + "15.mlp.up_proj", "lm_head", Layers + "3.self_attn.v_proj", Layers + "3.linear_attn.out_proj", Layers + "3.self_attn.o_proj",
            Layers + "3.mlp.shared_expert.down_proj", Layers + "3.mlp.switch_mlp.down_proj", Layers + "3.linear_attn.in_proj_qkv",
            Layers + "3.linear_attn.in_proj_z", Layers + "3.mlp.down_proj", Layers + "4.mlp.down_proj",
        ];
        Assert.That(string.Join(' ', Resolve(preset, names)), Is.EqualTo(expected));
    }

    [TestCase("q4_k_m", "model.embed_tokens", "q6_k", TestName = "Tied embeddings are stored as the output")]
    [TestCase("q6_k_xl", "model.embed_tokens", "q8_0", TestName = "Embeddings that have a line of their own keep it")]
    [TestCase("q4_k_m", Layers + "0.mlp.shared_experts.down_proj", "q6_k", TestName = "Shared experts in the plural have more bits too")]
    [TestCase("q4_k_m", Layers + "0.block_sparse_moe.switch_mlp.w2", "q6_k", TestName = "The second matrix of a Mixtral expert is a down projection")]
    [TestCase("q4_k_moe", Layers + "0.mlp.shared_experts.up_proj", "q5_k", TestName = "Shared experts have the codec of the preset")]
    [TestCase("q4_k_m", Layers + "0.self_attn.kv_a_proj_with_mqa", "q4_k", TestName = "Low-rank projections are quantized")]
    [TestCase("q4_k_m", Layers + "0.self_attn.qkv_proj", "q4_k", TestName = "Fused projections are quantized")]
    [TestCase("q4_k_m", Layers + "0.mlp.gate_up_proj", "q4_k", TestName = "Fused gates are quantized")]
    [TestCase("q4_k_m", Layers + "0.mlp.fc2", "q6_k", TestName = "fc2 is a down projection")]
    [TestCase("q6_k_xl", Layers + "0.self_attn.q_b_proj", "q8_0", TestName = "All of attention has the codec of attention")]
    [TestCase("q4_k_m", "blk.0.ffn_down.weight", "q6_k", TestName = "GGUF names are understood")]
    [TestCase("q4_k_m", "visual.blocks.0.attn.v_proj", null, TestName = "Towers stay")]
    [TestCase("q4_k_m", Layers + "0.mlp.gate", null, TestName = "Routers stay")]
    public void ItReachesWhatTheOriginalMisses(string preset, string name, string? expected) =>
        Assert.That(Resolve(preset, [name])[0], Is.EqualTo(expected));

    [Test]
    public void WhatSomebodyAskedForComesFirst()
    {
        string[] names = ["model.embed_tokens", "lm_head", Layers + "0.self_attn.v_proj", Layers + "0.mlp.down_proj", Layers + "0.mlp.up_proj"];
        var options = new RecipeOptions
        {
            Overrides = [new(new Regex("down"), Codec("q8_0")), new(new Regex("down|v_proj"), Codec("q3_k"))],
            Excluded = [new Regex("up_proj")],
            OutputCodec = Codec("q5_k"),
            EmbeddingCodec = Codec("q2_k"),
        };
        Assert.That(Resolve("q4_k_m", names, options), Is.EqualTo((string?[])["q2_k", "q5_k", "q3_k", "q8_0", null]));
        Assert.That(Resolve("q4_k_m", names, new RecipeOptions { IsPure = true }), Is.All.EqualTo("q4_k"));
    }

    [Test]
    public void APatternThatFindsNothingIsAnError()
    {
        Assert.That(
            () => Resolve("q4_k_m", ["lm_head"], new RecipeOptions { Overrides = [new(new Regex("attn_z"), Codec("q8_0"))] }),
            Throws.ArgumentException.With.Message.StartsWith("'attn_z' is found in the name of no tensor."));
        Assert.That(
            () => Resolve("q4_k_m", ["lm_head"], new RecipeOptions { Excluded = [new Regex("lm_tail")] }),
            Throws.ArgumentException.With.Message.StartsWith("'lm_tail' is found in the name of no tensor."));
    }

    [Test]
    public void ARecipeOfFewBitsNeedsImportance()
    {
        Assert.That(() => Resolve("llama.q2_k_s", ["output"]), Throws.ArgumentException.With.Message.StartsWith("llama.q2_k_s needs an importance matrix"));
        Assert.That(Resolve("llama.q2_k_s", ["output"], new RecipeOptions { HasImportance = true }), Is.EqualTo((string[])["q6_k"]));
    }

    [Test]
    public void LinesSayWhatTheyDo()
    {
        Assert.That(QuantizationRecipe.TryParse("LLAMA.Q4_K_M", out QuantizationRecipe? recipe));
        Assert.That(recipe!.Lines, Does.Contain("down=q6_k in the outer eighths and every third layer between").And.Contain("k, v (also fused)=q8_0 with eight experts").Or.Contain("v (also fused), k=q8_0 with eight experts"));
        Assert.That(QuantizationRecipe.All.SelectMany(each => each.Lines), Has.None.StartsWith("="));
    }

    private static QuantCodec Codec(string name) => QuantCodec.TryParse(name, out QuantCodec? codec) ? codec : throw new ArgumentException(name);

    private static string?[] Resolve(string preset, string[] names, RecipeOptions? options = null)
    {
        Assert.That(QuantizationRecipe.TryParse(preset, out QuantizationRecipe? recipe));
        ModelTensor[] tensors = [.. names.Select(name => new Tensor(name.EndsWith(".weight", StringComparison.Ordinal) ? name : name + ".weight"))];
        QuantizationPlan plan = QuantizationPlan.FromRecipe(new Model(tensors), recipe!, options, new RecipeModel { ExpertCount = 4 });
        return [.. plan.Tensors.Select(tensor => tensor.Codec?.Name)];
    }

    private sealed class Model(params ModelTensor[] tensors) : ModelSource
    {
        public override string Path => "model";

        public override string? Architecture => null;

        public override IReadOnlyList<ModelTensor> Tensors => tensors;

        public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor) =>
            (tensor = Array.Find(tensors, candidate => candidate.Name == name)) is not null;

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class Tensor(string name) : ModelTensor
    {
        public override string Name => name;

        public override ImmutableArray<long> Shape { get; } = name.Contains("switch_mlp", StringComparison.Ordinal) ? [2, 8, 256] : [8, 256];

        public override QuantCodec? Codec => QuantCodec.Get(QuantFormat.F32);

        public override string FormatName => "f32";

        public override long ByteCount => 8 * 256 * 4;

        public override void ReadBytes(long offset, Span<byte> destination) => throw new NotSupportedException();

        public override void ReadRows(long firstRow, Span<float> destination) => throw new NotSupportedException();
    }
}
