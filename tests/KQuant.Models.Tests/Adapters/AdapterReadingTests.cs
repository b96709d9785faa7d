using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Adapters;
using KQuant.TestKit;
using NUnit.Framework.Constraints;

namespace KQuant.Models.Tests.Adapters;

/// <summary>Adapters of every format become the same, and what is none is refused in a sentence.</summary>
public class AdapterReadingTests
{
    private const string Query = "model.layers.0.self_attn.q_proj";

    private readonly TemporaryFolder _folder = new();

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void EveryFormatGivesTheSameMatrices([Values("mlx", "peft", "gguf")] string format)
    {
        TestAdapter expected = TestAdapter.Reference("after5.b_nonzero");
        var adapter = LoraAdapter.Load(expected.Write(format, _folder, "qwen3"));
        Assert.That(adapter.Format, Is.EqualTo(format switch { "mlx" => AdapterFormat.MlxLm, "peft" => AdapterFormat.Peft, _ => AdapterFormat.Gguf }));
        Assert.That(adapter.BaseModel, Is.EqualTo(format == "gguf" ? null : "somewhere/base"));
        Assert.That(adapter.Architecture, Is.EqualTo(format == "gguf" ? "qwen3" : null));
        Assert.That(adapter.Weights.Select(weight => weight.Name), Is.EquivalentTo(expected.Terms.Keys.Select(module => module + ".weight")));
        foreach (LoraWeight weight in adapter.Weights)
        {
            TestAdapter.Term term = expected.Terms[weight.Name[..^".weight".Length]];
            Assert.That((weight.Rank, weight.Inputs, weight.Outputs, weight.Matrices), Is.EqualTo((8, term.Inputs, term.Outputs, 1)));
            Assert.That(weight.Scale, Is.EqualTo(2));
            Assert.That(weight.A.ToArray(), Is.EqualTo(term.A));
            Assert.That(weight.B.ToArray(), Is.EqualTo(term.B));
            Assert.That(weight.Codec.Name, Is.EqualTo("f32"));
            Assert.That(weight.IsDora || weight.IsStack, Is.False);
        }
    }

    [Test]
    public void AnEmbeddingIsAWeightLikeOthers([Values("mlx", "peft", "gguf")] string format)
    {
        TestAdapter expected = TestAdapter.Random(3, ("model.embed_tokens", 10, 32));
        LoraWeight weight = LoraAdapter.Load(expected.Write(format, _folder, "qwen3")).Weights.Single();
        Assert.That((weight.Rank, weight.Inputs, weight.Outputs), Is.EqualTo((3, 32, 10)));
        Assert.That(weight.A.ToArray(), Is.EqualTo(expected.Terms["model.embed_tokens"].A));
        Assert.That(weight.B.ToArray(), Is.EqualTo(expected.Terms["model.embed_tokens"].B));
        Assert.That(weight.OnlyLooksUp, Is.EqualTo(format != "mlx"), "only mlx-lm adapts the tied head, too");
    }

    [Test]
    public void RankOneHasNoTrailingDimensionInGguf()
    {
        TestAdapter expected = TestAdapter.Random(1, (Query, 16, 32));
        LoraWeight weight = LoraAdapter.Load(expected.WriteGguf(_folder["one.gguf"], "qwen3")).Weights.Single();
        Assert.That((weight.Rank, weight.Inputs, weight.Outputs), Is.EqualTo((1, 32, 16)));
        Assert.That(weight.B.ToArray(), Is.EqualTo(expected.Terms[Query].B));
    }

    [Test]
    public void ExpertsOneByOneAreAStack()
    {
        // Mixtral's w2 is the down projection.
        TestAdapter single = TestAdapter.Random(
            2, ("model.layers.1.block_sparse_moe.experts.0.w2", 4, 6), ("model.layers.1.block_sparse_moe.experts.1.w2", 4, 6));
        LoraWeight weight = LoraAdapter.Load(single.WritePeft(_folder["experts"])).Weights.Single();
        Assert.That(weight.Name, Is.EqualTo("model.layers.1.block_sparse_moe.switch_mlp.down_proj.weight"));
        Assert.That((weight.IsStack, weight.Matrices, weight.Rank, weight.Inputs, weight.Outputs), Is.EqualTo((true, 2, 2, 6, 4)));
        Assert.That(weight.A.ToArray(), Is.EqualTo(single.Terms.Values.SelectMany(term => term.A)));
        Assert.That(weight.B.ToArray(), Is.EqualTo(single.Terms.Values.SelectMany(term => term.B)));

        TestAdapter incomplete = TestAdapter.Random(2, ("model.layers.1.mlp.experts.0.up_proj", 4, 6), ("model.layers.1.mlp.experts.2.up_proj", 4, 6));
        Assert.That(() => LoraAdapter.Load(incomplete.WritePeft(_folder["incomplete"])), Refused("expert 1 is missing"));
    }

    [Test]
    public void MlxKeepsStacksAsTheyAre()
    {
        float[] a = Numbers.Gaussian(3 * 2 * 6, 1), b = Numbers.Gaussian(3 * 4 * 2, 2);
        Mlx("stack", ("model.layers.0.mlp.switch_mlp.up_proj.lora_a", [3, 2, 6], a), ("model.layers.0.mlp.switch_mlp.up_proj.lora_b", [3, 4, 2], b));
        LoraWeight weight = LoraAdapter.Load(_folder["stack"]).Weights.Single();
        Assert.That((weight.IsStack, weight.Matrices, weight.Rank, weight.Inputs, weight.Outputs), Is.EqualTo((true, 3, 2, 6, 4)));
        Assert.That(weight.A.ToArray(), Is.EqualTo(a));
        Assert.That(weight.B.ToArray(), Is.EqualTo(b));
    }

    [Test]
    public void ScalesOfPeftFollowPatternsAndRoots()
    {
        TestAdapter adapter = TestAdapter.Random(4, (Query, 8, 6), ("model.layers.10.self_attn.q_proj", 8, 6), ("model.layers.0.mlp.up_proj", 8, 6));
        adapter.WritePeft(_folder["plain"], """, "alpha_pattern": {"layers.0.self_attn.q_proj": 6, "self_attn.*": 12, "up": 100}""");
        Assert.That(Scales("plain"), Is.EqualTo((1.5f, 3f, 2f)), "the first pattern that matches a whole path or its end counts");
        adapter.WritePeft(_folder["root"], """, "use_rslora": true""");
        Assert.That(Scales("root"), Is.EqualTo((4f, 4f, 4f)), "alpha 8 over the root of 4");

        (float First, float Second, float Third) Scales(string name)
        {
            IReadOnlyList<LoraWeight> weights = LoraAdapter.Load(_folder[name]).Weights;
            return (weights[0].Scale, weights[1].Scale, weights[2].Scale);
        }
    }

    [Test]
    public void AlphaZeroInGgufIsAScaleOfOne()
    {
        var adapter = new TestAdapter { Scale = 0, Terms = { [Query] = new TestAdapter.Term(new float[12], new float[8], 2) } };
        Assert.That(LoraAdapter.Load(adapter.WriteGguf(_folder["zero.gguf"], "llama")).Weights.Single().Scale, Is.EqualTo(1));
    }

    [Test]
    public void LengthsOfDoraAreRead()
    {
        float[] lengths = [1, 2, 3, 4];
        Mlx("mlx", "dora", (Query + ".lora_a", [6, 2], new float[12]), (Query + ".lora_b", [2, 4], new float[8]), (Query + ".m", [4], lengths));
        LoraWeight weight = LoraAdapter.Load(_folder["mlx"]).Weights.Single();
        Assert.That(weight.Magnitude.ToArray(), Is.EqualTo(lengths));
        Assert.That(weight.IsDora);

        TestAdapter peft = TestAdapter.Random(2, (Query, 4, 6));
        peft.WritePeft(_folder["peft"], """, "use_dora": true""");
        TestAdapter.WriteTensors(
            _folder["peft"], "adapter_model.safetensors", ($"base_model.model.{Query}.lora_A.weight", [2, 6], new float[12]),
            ($"base_model.model.{Query}.lora_B.weight", [4, 2], new float[8]), ($"base_model.model.{Query}.lora_magnitude_vector", [4], lengths));
        Assert.That(LoraAdapter.Load(_folder["peft"]).Weights.Single().Magnitude.ToArray(), Is.EqualTo(lengths));

        Mlx("none", "dora", (Query + ".lora_a", [6, 2], new float[12]), (Query + ".lora_b", [2, 4], new float[8]));
        Assert.That(() => LoraAdapter.Load(_folder["none"]), Refused("has no lengths"));
    }

    [Test]
    public void ACheckpointOfATrainingIsNamedByItsFile()
    {
        TestAdapter adapter = TestAdapter.Random(2, (Query, 4, 6));
        adapter.WriteMlx(_folder["run"]);
        File.Move(_folder["run/adapters.safetensors"], _folder["run/0000100_adapters.safetensors"]);
        Assert.That(LoraAdapter.Load(_folder["run/0000100_adapters.safetensors"]).Weights.Single().A.ToArray(), Is.EqualTo(adapter.Terms[Query].A));
        Assert.That(() => LoraAdapter.Load(_folder["run"]), Refused("neither adapters.safetensors nor adapter_model.safetensors"));
    }

    [Test]
    public void HalfFloatsAreWidenedAndRemembered()
    {
        byte[] a = new byte[12 * 2], b = new byte[8 * 2];
        a[1] = 0x3C;
        Mlx("half", (Query + ".lora_a", [6, 2], new float[12]));
        File.WriteAllBytes(_folder["half/adapters.safetensors"], SafetensorsBytes.Build((Query + ".lora_a", "F16", [6, 2], a), (Query + ".lora_b", "F16", [2, 4], b)));
        LoraWeight weight = LoraAdapter.Load(_folder["half"]).Weights.Single();
        Assert.That(weight.A.Span[0], Is.EqualTo(1));
        Assert.That(weight.Codec.Name, Is.EqualTo("f16"));
    }

    [Test]
    public void WhatIsNoAdapterIsRefused()
    {
        float[] a = new float[12], b = new float[8], nan = new float[12];
        nan[7] = float.NaN;
        Bad("foreign", "no part of an adapter", ("model.norm.weight", [4], new float[4]));
        Bad("alone", "the other half of the product is missing, B", (Query + ".lora_a", [6, 2], a));
        Bad("zero", "the rank is 0", (Query + ".lora_a", [6, 0], []), (Query + ".lora_b", [0, 4], []));
        Bad("ranks", "do not multiply", (Query + ".lora_a", [4, 3], a), (Query + ".lora_b", [2, 4], b));
        Bad("flat", "matrices or stacks", (Query + ".lora_a", [12], a), (Query + ".lora_b", [2, 4], b));
        Bad("nan", "a value of row 3 is NaN", (Query + ".lora_a", [6, 2], nan), (Query + ".lora_b", [2, 4], b));
        Bad("twice", "belongs to the same place", (Query + ".lora_a", [6, 2], a), ("language_model." + Query + ".lora_a", [6, 2], a), (Query + ".lora_b", [2, 4], b));
        Bad("empty", "there is no tensor of an adapter");
        foreach ((string config, string message) in new[]
        {
            ("""{"num_layers": 4}""", "lora_parameters is missing"),
            ("""{"lora_parameters": {"rank": 0, "scale": 1}}""", "lora_parameters.rank is 0"),
            ("""{"lora_parameters": {"rank": 2}}""", "lora_parameters.scale is missing"),
            ("""{"lora_parameters": {"rank": 2, "scale": NaN}}""", "the scale is"),
            ("""{"fine_tune_type": "full"}""", "whole weights"),
            ("""{"fine_tune_type": "other"}""", "fine_tune_type is 'other'"),
            ("[]", "no JSON object"),
        })
        {
            Mlx("config", (Query + ".lora_a", [6, 2], a), (Query + ".lora_b", [2, 4], b));
            File.WriteAllText(_folder["config/adapter_config.json"], config);
            Assert.That(() => LoraAdapter.Load(_folder["config"]), Refused(message), config);
        }

        void Bad(string name, string message, params (string Name, long[] Shape, float[] Values)[] tensors)
        {
            Mlx(name, tensors);
            Assert.That(() => LoraAdapter.Load(_folder[name]), Refused(message), name);
        }
    }

    [TestCase("\"use_qalora\": true", "use_qalora")]
    [TestCase("\"layer_replication\": [[0, 4]]", "layer_replication")]
    [TestCase("\"alora_invocation_tokens\": [1]", "alora_invocation_tokens")]
    [TestCase("\"modules_to_save\": [\"lm_head\"]", "modules_to_save")]
    [TestCase("\"target_parameters\": [\"experts.gate_up_proj\"]", "target_parameters")]
    [TestCase("\"lora_bias\": true", "lora_bias")]
    [TestCase("\"bias\": \"all\"", "bias is 'all'")]
    [TestCase("\"init_lora_weights\": \"pissa_niter_4\"", "pissa_niter_4")]
    [TestCase("\"use_dora\": true", "use_dora is true")]
    [TestCase("\"rank_pattern\": {\"q_proj\": 0}", "is no rank")]
    [TestCase("\"alpha_pattern\": {\"q_proj\": \"x\"}", "is no number")]
    [TestCase("\"alpha_pattern\": {\"(\": 2}", "no pattern")]
    public void WhatChangesTheFunctionOfPeftIsRefused(string field, string message)
    {
        TestAdapter.Random(2, (Query, 4, 6)).WritePeft(_folder["peft"], ", " + field);
        Assert.That(() => LoraAdapter.Load(_folder["peft"]), Refused(message));
    }

    [Test]
    public void FieldsThatAreNotSetChangeNothing()
    {
        TestAdapter.Random(2, (Query, 4, 6)).WritePeft(
            _folder["peft"], """, "use_dora": false, "layer_replication": null, "modules_to_save": [], "init_lora_weights": true, "lora_dropout": 0.5""");
        Assert.That(LoraAdapter.Load(_folder["peft"]).Weights, Has.Count.EqualTo(1));
    }

    [TestCase("model.layers.0.mlp.experts.lora_A.weight", "target_parameters")]
    [TestCase("lm_head.weight", "modules_to_save")]
    [TestCase("model.layers.0.self_attn.q_proj.lora_B.bias", "lora_bias")]
    [TestCase("model.layers.0.self_attn.q_proj.other", "no part of an adapter")]
    public void ForeignTensorsOfPeftAreRefused(string name, string message)
    {
        TestAdapter.Random(2, (Query, 4, 6)).WritePeft(_folder["peft"]);
        TestAdapter.WriteTensors(_folder["peft"], "adapter_model.safetensors", ("base_model.model." + name, [2], new float[2]));
        Assert.That(() => LoraAdapter.Load(_folder["peft"]), Refused(message));
    }

    [Test]
    public void PicklesAreNotOpened()
    {
        TestAdapter.Random(2, (Query, 4, 6)).WritePeft(_folder["peft"]);
        File.Delete(_folder["peft/adapter_model.safetensors"]);
        _folder.Write("peft/adapter_model.bin", "PK\u0003\u0004"u8);
        Assert.That(() => LoraAdapter.Load(_folder["peft"]), Refused("pickle"));
        Assert.That(() => LoraAdapter.Load(_folder["peft/adapter_model.bin"]), Refused("pickle"));
        Assert.That(() => LoraAdapter.Load(_folder.Write("other.bin", "text"u8)), Refused("neither a GGUF file nor"));
        Assert.That(() => LoraAdapter.Load(_folder["nothing"]), Throws.InstanceOf<FileNotFoundException>());
    }

    [Test]
    public void GgufFilesThatAreNoAdaptersAreRefused()
    {
        Bad("general.type", "model", "general.type is 'model'");
        Bad("adapter.type", "other", "adapter.type is 'other'");
        Bad("general.architecture", "unheard-of", "'unheard-of'");
        Bad("adapter.alora.invocation_tokens", "1", "certain tokens");
        TestAdapter foreign = TestAdapter.Random(2, ("model.layers.0.self_attn.q_norm", 4, 6));
        Assert.That(() => LoraAdapter.Load(foreign.WriteGguf(_folder["norm.gguf"], "qwen3")), Throws.Nothing, "a weight by its name; that it is a vector only the model knows");

        void Bad(string key, string value, string message)
        {
            var writer = new GgufWriter();
            writer.Metadata.Set("general.type", "adapter");
            writer.Metadata.Set("general.architecture", "llama");
            writer.Metadata.Set("adapter.type", "lora");
            writer.Metadata.Set("adapter.lora.alpha", 4f);
            writer.Metadata.Set(key, value);
            writer.Add("blk.0.attn_q.weight.lora_a", [6, 2], GgmlType.Of(QuantFormat.F32), new byte[48]);
            writer.Add("blk.0.attn_q.weight.lora_b", [2, 4], GgmlType.Of(QuantFormat.F32), new byte[32]);
            writer.Write(_folder["bad.gguf"]);
            Assert.That(() => LoraAdapter.Load(_folder["bad.gguf"]), Refused(message));
        }
    }

    [Test]
    public void DamagedFilesAreOnlyEverRefused()
    {
        string path = TestAdapter.Random(2, (Query, 4, 6)).WriteGguf(_folder["whole.gguf"], "qwen3");
        byte[] whole = File.ReadAllBytes(path);
        var random = new Random(5);
        for (int i = 0; i < 300; i++)
        {
            byte[] damaged = [.. whole];
            damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(path, damaged);
            try
            {
                _ = LoraAdapter.Load(path);
            }
            catch (ModelFormatException)
            {
            }
        }
    }

    private static ContainsConstraint Refused(string message) =>
        Throws.InstanceOf<ModelFormatException>().With.Message.Contains(message);

    private void Mlx(string name, params (string Name, long[] Shape, float[] Values)[] tensors) => Mlx(name, "lora", tensors);

    private void Mlx(string name, string kind, params (string Name, long[] Shape, float[] Values)[] tensors)
    {
        _folder.Write($"{name}/adapter_config.json", $$"""{"fine_tune_type": "{{kind}}", "num_layers": 1, "lora_parameters": { "rank": 2, "scale": 2.0, "dropout": 0.0 } }""");
        TestAdapter.WriteTensors(_folder[name], "adapters.safetensors", tensors);
    }
}
