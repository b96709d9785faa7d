using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Recipes;

public class QuantizationPlanTests
{
    [TestCase("tiny-dense")]
    [TestCase("tiny-moe")]
    public void EveryMatrixOfAModelIsQuantized(string name)
    {
        using ModelFolder model = ModelFolder.Open(RepositoryFiles.Fixture("models", name));
        QuantizationPlan plan = QuantizationPlan.Uniform(model, Codec("q4_k"));

        string[] stays = [.. plan.Tensors.Where(tensor => tensor.Codec is null).Select(tensor => tensor.Source.Name)];
        Assert.That(stays, Is.EquivalentTo(model.Tensors.Select(tensor => tensor.Name).Where(
            tensor => tensor.Contains("norm", StringComparison.Ordinal) || tensor.EndsWith("mlp.gate.weight", StringComparison.Ordinal))));
        Assert.That(plan.Tensors.Where(tensor => tensor.Codec is not null).Select(tensor => tensor.Codec), Is.All.SameAs(Codec("q4_k")));
        Assert.That(plan.SourceBytes, Is.EqualTo(model.Tensors.Sum(tensor => tensor.ByteCount)));
        Assert.That(plan.TotalBytes, Is.LessThan(plan.SourceBytes * 0.3));
    }

    [TestCase("q2_k", 256, "q2_k")]
    [TestCase("q2_k", 320, "q4_0")]
    [TestCase("q3_k", 320, "q4_0")]
    [TestCase("q4_k", 320, "q5_0")]
    [TestCase("q5_k", 320, "q5_1")]
    [TestCase("q6_k", 320, "q8_0")]
    [TestCase("q6_k", 321, "f16")]
    [TestCase("q4_0", 320, "q4_0")]
    [TestCase("q4_0", 321, "f16")]
    [TestCase("q8_0", 16, "f16")]
    public void WidthFallsBackAsInLlamaCpp(string asked, int columns, string expected)
    {
        PlannedTensor planned = Plan("model.layers.0.mlp.up_proj.weight", [4, columns], asked);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(planned.Codec, Is.SameAs(Codec(expected)));
            Assert.That(planned.Reason, Is.EqualTo(asked == expected ? PlanReason.Requested : PlanReason.WidthFallback));
            Assert.That(planned.Explanation, Does.Contain(asked).And.Contain(asked == expected ? "asked for" : $"{columns}"));
        }
    }

    [TestCase("model.layers.0.mlp.up_proj.bias", "512", PlanReason.NotAWeight)]
    [TestCase("model.layers.0.mlp.switch_mlp.up_proj.bias", "8,512", PlanReason.NotAWeight)]
    [TestCase("model.layers.0.linear_attn.A_log", "32", PlanReason.NotAWeight)]
    [TestCase("model.layers.0.mlp.up_proj.weight", "512", PlanReason.NotAMatrix)]
    [TestCase("model.layers.0.odd.weight", "4,4,256", PlanReason.NotAMatrix)]
    [TestCase("model.layers.0.odd.weight", "1,4,4,256", PlanReason.NotAMatrix)]
    [TestCase("model.layers.0.linear_attn.conv1d.weight", "8,1,256", PlanReason.Role)]
    [TestCase("model.layers.0.self_attn.q_norm.weight", "8,256", PlanReason.Role)]
    [TestCase("model.layers.0.mlp.gate.weight", "8,256", PlanReason.Role)]
    [TestCase("visual.blocks.0.mlp.up_proj.weight", "256,256", PlanReason.Role)]
    public void WhatIsNoWeightOfAProductStays(string name, string shape, PlanReason reason)
    {
        PlannedTensor planned = Plan(name, [.. shape.Split(',').Select(long.Parse)], "q4_k");

        Assert.That(planned.Codec, Is.Null);
        Assert.That(planned.Reason, Is.EqualTo(reason));
        Assert.That(planned.ByteCount, Is.EqualTo(planned.Source.ByteCount));
    }

    [TestCase("model.layers.0.mlp.switch_mlp.up_proj.weight", "8,64,256")]
    [TestCase("model.layers.0.self_attn.embed_q.weight", "8,64,256")]
    [TestCase("blk.0.ffn_down_exps.weight", "8,64,256")]
    [TestCase("something.else.weight", "64,256")]
    public void StacksAndUnknownMatricesAreQuantized(string name, string shape) =>
        Assert.That(Plan(name, [.. shape.Split(',').Select(long.Parse)], "q4_k").Reason, Is.EqualTo(PlanReason.Requested));

    [Test]
    public void QuantizedWeightsAreDecodedOnlyWhenAskedFor()
    {
        var tensor = new StubTensor("m.weight", [64, 256], Codec("q8_0"));

        var integers = new StubTensor("m.weight", [64, 256], null);

        Assert.That(Reason(tensor, requantize: false), Is.EqualTo(PlanReason.AlreadyQuantized));
        Assert.That(Reason(tensor, requantize: true), Is.EqualTo(PlanReason.Requested));
        Assert.That(Reason(integers, requantize: true), Is.EqualTo(PlanReason.NotFloat));

        static PlanReason Reason(ModelTensor tensor, bool requantize) =>
            QuantizationPlan.Uniform(new StubModel(tensor), Codec("q4_k"), requantize).Tensors[0].Reason;
    }

    [Test]
    public void AFloatFormatChangesTheWeightsThatACodecWould()
    {
        PlannedTensor Planned(string name, string from, string to) =>
            QuantizationPlan.Uniform(new StubModel(new StubTensor(name, [64, 256], Codec(from))), Codec(to)).Tensors[0];
        Assert.That(Planned("m.weight", "f32", "bf16").Codec, Is.EqualTo(Codec("bf16")));
        Assert.That(Planned("m.weight", "bf16", "bf16").Reason, Is.EqualTo(PlanReason.AlreadyFloat));
        Assert.That(Planned("model.norm.weight", "f32", "bf16").Reason, Is.EqualTo(PlanReason.Role));
    }

    [Test]
    public void KeepingChangesNothingAndKnowsTheMostFrequentFormat()
    {
        var plan = QuantizationPlan.Keep(new StubModel(
            new StubTensor("a.weight", [64, 256], Codec("q4_k")), new StubTensor("b.weight", [4, 256], Codec("f16")), new StubTensor("ids", [9], null)));
        Assert.That(plan.Codec, Is.EqualTo(Codec("q4_k")));
        Assert.That(plan.Tensors.Select(tensor => tensor.Codec), Is.All.Null);
        Assert.That(
            plan.Tensors.Select(tensor => tensor.Reason),
            Is.EqualTo([PlanReason.AlreadyQuantized, PlanReason.AlreadyFloat, PlanReason.NotFloat]));
    }

    [Test]
    public void ARuleDecidesByTensorAndRole()
    {
        ModelTensor[] tensors =
        [
            new StubTensor("model.embed_tokens.weight", [64, 256], Codec("bf16")),
            new StubTensor("model.layers.0.self_attn.v_proj.weight", [64, 256], Codec("bf16")),
            new StubTensor("model.layers.0.mlp.down_proj.weight", [256, 320], Codec("bf16")),
            new StubTensor("model.layers.0.mlp.up_proj.weight", [640, 256], Codec("bf16")),
            new StubTensor("model.layers.1.mlp.up_proj.weight", [640, 256], Codec("q8_0")),
            new StubTensor("model.layers.2.mlp.up_proj.weight", [640, 256], Codec("q8_0")),
            new StubTensor("model.layers.0.input_layernorm.weight", [256], Codec("bf16")),
            new StubTensor("model.layers.1.input_layernorm.weight", [256], Codec("bf16")),
            new StubTensor("ids", [9], null),
        ];
        var asked = new List<string>();
        var plan = QuantizationPlan.Create(new StubModel(tensors), (tensor, role) =>
        {
            asked.Add(tensor.Name);
            return role switch
            {
                TensorRole.Embedding => Codec("q6_k"),
                TensorRole.Attention => null,
                TensorRole.Norm => tensor.Name.Contains(".0.", StringComparison.Ordinal) ? Codec("f32") : Codec("q4_k"),
                _ => tensor.Name.Contains(".2.", StringComparison.Ordinal) ? null : Codec("q4_k"),
            };
        });
        Assert.Multiple(() =>
        {
            Assert.That(plan.Codec, Is.EqualTo(Codec("q4_k")), "what most weights get");
            Assert.That(
                plan.Tensors.Select(tensor => (tensor.FormatName, tensor.Reason)),
                Is.EqualTo(
                [
                    ("q6_k", PlanReason.Requested), ("bf16", PlanReason.AlreadyFloat), ("q5_0", PlanReason.WidthFallback),
                    ("q4_k", PlanReason.Requested), ("q4_k", PlanReason.Requested), ("q8_0", PlanReason.AlreadyQuantized),
                    ("f32", PlanReason.Requested), ("bf16", PlanReason.Role), ("i32", PlanReason.NotFloat),
                ]));
            Assert.That(asked, Is.EqualTo(tensors[..^1].Select(tensor => tensor.Name)));
            Assert.That(plan.Tensors[2].Explanation, Is.EqualTo("width 320 is no multiple of 256: q5_0 instead of q4_k"));
        });
    }

    private static QuantCodec Codec(string name) =>
        QuantCodec.TryParse(name, out QuantCodec? codec) ? codec : throw new ArgumentException(name);

    private static PlannedTensor Plan(string name, ImmutableArray<long> shape, string codec) =>
        QuantizationPlan.Uniform(new StubModel(new StubTensor(name, shape, QuantCodec.Get(QuantFormat.BF16))), Codec(codec)).Tensors[0];

    private sealed class StubModel(params ModelTensor[] tensors) : ModelSource
    {
        public override string Path => "stub";

        public override string? Architecture => null;

        public override IReadOnlyList<ModelTensor> Tensors => tensors;

        public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor) =>
            (tensor = Array.Find(tensors, candidate => candidate.Name == name)) is not null;

        protected override void Dispose(bool disposing)
        {
        }
    }

    /// <summary>A description without data: a plan must not read any.</summary>
    private sealed class StubTensor(string name, ImmutableArray<long> shape, QuantCodec? codec) : ModelTensor
    {
        public override string Name => name;

        public override ImmutableArray<long> Shape => shape;

        public override QuantCodec? Codec => codec;

        public override string FormatName => codec?.Name ?? "i32";

        public override long ByteCount => (codec ?? QuantCodec.Get(QuantFormat.F32)).GetByteCount(shape.Aggregate(1L, (a, b) => a * b));

        public override void ReadBytes(long offset, Span<byte> destination) => throw new InvalidOperationException();

        public override void ReadRows(long firstRow, Span<float> destination) => throw new InvalidOperationException();

        public override QuantizedTensor Load() => throw new InvalidOperationException();
    }
}
