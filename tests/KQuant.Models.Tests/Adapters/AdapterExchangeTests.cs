using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.Models.Adapters;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Adapters;

/// <summary>Adapters go from every format to every other and back without losing a bit; what a format cannot say is refused.</summary>
public class AdapterExchangeTests
{
    private const string Query = "model.layers.0.self_attn.q_proj";

    private readonly TemporaryFolder _folder = new();
    private readonly RandomModels _models = new();
    private int _count;

    [OneTimeTearDown]
    public void TearDown()
    {
        _models.Dispose();
        _folder.Dispose();
    }

    private static IEnumerable<object[]> Ways =>
        from a in Enum.GetValues<AdapterFormat>()
        from b in Enum.GetValues<AdapterFormat>()
        select new object[] { a, b };

    [TestCaseSource(nameof(Ways))]
    public void ThereAndBack(AdapterFormat from, AdapterFormat to)
    {
        // Rows of llama's queries and keys change their order in GGUF files; a rank of 6 and a scale of 0.3 leave no exact quotient.
        using LanguageModel dense = _models.Load("llama3"), experts = _models.Load("mixtral");
        ModelConfig config = dense.Config;
        int queries = config.HeadCount * config.HeadSize;
        var plain = new TestAdapter { Scale = 0.3f };
        foreach ((string module, TestAdapter.Term term) in TestAdapter.Random(
            8, (Query, queries, config.HiddenSize), ("model.layers.1.self_attn.k_proj", config.KeyValueHeadCount * config.HeadSize, config.HiddenSize),
            ("model.layers.1.mlp.down_proj", config.HiddenSize, config.IntermediateSize)).Terms)
        {
            plain.Terms[module] = term;
        }

        Check(LoraAdapter.Load(plain.WritePeft(New())), dense.Config);
        int inner = experts.Config.Experts!.IntermediateSize;
        TestAdapter single = TestAdapter.Random(
            2, [.. Enumerable.Range(0, experts.Config.Experts.Count).Select(expert => ($"model.layers.0.block_sparse_moe.experts.{expert}.w1", inner, experts.Config.HiddenSize))]);
        Check(LoraAdapter.Load(single.WritePeft(New())), experts.Config);

        void Check(LoraAdapter original, ModelConfig model)
        {
            LoraAdapter first = Save(original, from, model), second = Save(first, to, model), third = Save(second, from, model), again = Save(third, AdapterFormat.Peft, model);
            Assert.That((first.Format, second.Format, third.Format), Is.EqualTo((from, to, from)));
            AssertSame(third, first);
            AssertSame(again, original);
        }
    }

    [Test]
    public void ScalesThatAreNoQuotientComeBackFromEveryRank()
    {
        int inexact = 0;
        for (int rank = 1; rank <= 24; rank++)
        {
            foreach (float scale in (float[])[0.3f, 20, 1f / 3, 1.7f, 0.0123f])
            {
                var adapter = new TestAdapter { Scale = scale, Terms = { [Query] = new TestAdapter.Term(new float[rank * 2], new float[rank * 3], rank) } };
                LoraAdapter loaded = LoraAdapter.Load(adapter.WriteMlx(New()));
                Assert.That(Save(loaded, AdapterFormat.Peft).Weights[0].Scale, Is.EqualTo(scale), $"{scale} of rank {rank}");
                Assert.That(Save(loaded, AdapterFormat.MlxLm).Weights[0].Scale, Is.EqualTo(scale));
                using LanguageModel model = _models.Load("qwen3");
                string path = New(".gguf");
                bool isExact = loaded.Save(path, AdapterFormat.Gguf, new AdapterSaveOptions { Model = model.Config }).Count == 0;
                float back = LoraAdapter.Load(path).Weights[0].Scale;
                Assert.That(back, isExact ? Is.EqualTo(scale) : Is.EqualTo(scale).Within(1).Ulps);
                inexact += isExact ? 0 : 1;
            }
        }

        Assert.That(inexact, Is.LessThan(60), "a note says where a float32 alpha cannot give the scale");
    }

    [Test]
    public void TypesStay([Values("F16", "BF16")] string type)
    {
        byte[] a = [.. Enumerable.Range(0, 12).SelectMany(i => new byte[] { (byte)(7 * i), 0x3C })], b = [.. Enumerable.Range(0, 8).SelectMany(i => new byte[] { (byte)(9 * i), 0x3D })];
        string folder = TestAdapter.Random(2, (Query, 4, 6)).WriteMlx(New());
        File.WriteAllBytes(Path.Combine(folder, "adapters.safetensors"), SafetensorsBytes.Build((Query + ".lora_a", type, [6, 2], a), (Query + ".lora_b", type, [2, 4], b)));
        using LanguageModel model = _models.Load("qwen3");
        LoraAdapter peft = Save(LoraAdapter.Load(folder), AdapterFormat.Peft), gguf = Save(peft, AdapterFormat.Gguf, model.Config), back = Save(gguf, AdapterFormat.MlxLm);
        Assert.That(back.Weights[0].Codec.Name, Is.EqualTo(type.ToLowerInvariant()));
        using var file = SafetensorsFile.Open(Path.Combine(back.Path, "adapters.safetensors"));
        Assert.That(file.TryGet(Query + ".lora_a", out SafetensorsTensor? storedA));
        Assert.That(file.TryGet(Query + ".lora_b", out SafetensorsTensor? storedB));
        Assert.That(storedA!.UnsafeGetBytes(0, 24).ToArray(), Is.EqualTo(a));
        Assert.That(storedB!.UnsafeGetBytes(0, 16).ToArray(), Is.EqualTo(b));
    }

    [Test]
    public void EmbeddingsThatAreNotTiedGoEverywhere()
    {
        using LanguageModel untied = _models.Load("llama3");
        Assume.That(untied.Config.TiesEmbedding, Is.False);
        ModelConfig tiedConfig = untied.Config with { TiesEmbedding = true };
        LoraAdapter mlx = LoraAdapter.Load(TestAdapter.Random(2, ("model.embed_tokens", 320, 256)).WriteMlx(New()));
        LoraAdapter peft = Save(mlx, AdapterFormat.Peft, untied.Config), gguf = Save(peft, AdapterFormat.Gguf, untied.Config);
        AssertSame(Save(gguf, AdapterFormat.MlxLm, untied.Config), mlx);
        Assert.That(() => Save(mlx, AdapterFormat.Peft, tiedConfig), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("where it makes the logits, too"));
        Assert.That(() => Save(mlx, AdapterFormat.Gguf, tiedConfig), Throws.InstanceOf<NotSupportedException>());
        Assert.That(() => Save(peft, AdapterFormat.MlxLm), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("looked up only"));
        AssertSame(Save(peft, AdapterFormat.Gguf, tiedConfig), peft);
    }

    [Test]
    public void DoraGoesWhereItCan()
    {
        float[] lengths = [1, 2, 3, 4];
        string folder = TestAdapter.Random(2, (Query, 4, 6)).WritePeft(New(), """, "use_dora": true""");
        TestAdapter.Term term = TestAdapter.Random(2, (Query, 4, 6)).Terms[Query];
        TestAdapter.WriteTensors(
            folder, "adapter_model.safetensors", ($"base_model.model.{Query}.lora_A.weight", [2, 6], term.A), ($"base_model.model.{Query}.lora_B.weight", [4, 2], term.B),
            ($"base_model.model.{Query}.lora_magnitude_vector", [4], lengths));
        LoraAdapter peft = LoraAdapter.Load(folder), mlx = Save(peft, AdapterFormat.MlxLm);
        AssertSame(mlx, peft);
        AssertSame(Save(mlx, AdapterFormat.Peft), peft);
        using LanguageModel model = _models.Load("qwen3");
        Assert.That(() => Save(peft, AdapterFormat.Gguf, model.Config), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("no DoRA"));
    }

    [Test]
    public void RanksThatDifferStandInPatternsOrArePadded()
    {
        using LanguageModel model = _models.Load("qwen3");
        ModelConfig config = model.Config;
        TestAdapter four = TestAdapter.Random(4, (Query, config.HeadCount * config.HeadSize, config.HiddenSize));
        four.Terms["model.layers.1.mlp.up_proj"] = TestAdapter.Random(2, ("model.layers.1.mlp.up_proj", config.IntermediateSize, config.HiddenSize)).Terms.Single().Value;
        LoraAdapter uneven = LoraAdapter.Load(four.WriteMlx(New()));
        LoraAdapter peft = Save(uneven, AdapterFormat.Peft);
        AssertSame(peft, uneven);
        JsonElement json = JsonDocument.Parse(File.ReadAllText(Path.Combine(peft.Path, "adapter_config.json"))).RootElement;
        Assert.That(json.GetProperty("r").GetInt32(), Is.EqualTo(4));
        Assert.That(json.GetProperty("rank_pattern").GetProperty("model.layers.1.mlp.up_proj").GetInt32(), Is.EqualTo(2));
        Assert.That(json.GetProperty("alpha_pattern").GetProperty("model.layers.1.mlp.up_proj").GetInt32(), Is.EqualTo(4));

        string folder = New();
        Assert.That(uneven.Save(folder, AdapterFormat.MlxLm).Single(), Does.Contain("ranks differ, 2 to 4"));
        Assert.That(uneven.Save(folder, AdapterFormat.MlxLm, new AdapterSaveOptions { UniformRank = true, Overwrite = true }), Is.Empty);
        var padded = LoraAdapter.Load(folder);
        Assert.That(padded.Weights.Select(weight => weight.Rank), Is.All.EqualTo(4));
        LoraAdapter gguf = Save(uneven, AdapterFormat.Gguf, config);
        Assert.That(gguf.Weights.Select(weight => (weight.Rank, weight.Scale)), Is.All.EqualTo((4, 2f)));
        float[] expected = Logits(uneven);
        Assert.That(Logits(peft), Is.EqualTo(expected));
        Assert.That(Logits(padded), Is.EqualTo(expected).Within(1e-5));
        Assert.That(Logits(gguf), Is.EqualTo(expected).Within(1e-5));

        float[] Logits(LoraAdapter adapter)
        {
            using LanguageModel adapted = _models.Load("qwen3", new ModelOptions { Adapters = [new AppliedAdapter { Adapter = adapter }] });
            using KeyValueCache cache = adapted.CreateCache();
            return RandomModels.Logits(adapted, cache, RandomCheckpoint.Prompt(5));
        }
    }

    [Test]
    public void ScalesThatDifferAreMultipliedIntoB()
    {
        TestAdapter adapter = TestAdapter.Random(4, (Query, 8, 6), ("model.layers.1.self_attn.q_proj", 8, 6), ("model.layers.0.mlp.up_proj", 8, 6));
        LoraAdapter peft = LoraAdapter.Load(adapter.WritePeft(New(), """, "alpha_pattern": {"up_proj": 32}"""));
        string folder = New();
        Assert.That(peft.Save(folder, AdapterFormat.MlxLm).Single(), Does.StartWith("1 weights have another scale than 2"));
        LoraWeight weight = LoraAdapter.Load(folder).Weights.Single(weight => weight.Name.Contains("up_proj"));
        Assert.That(weight.Scale, Is.EqualTo(2));
        Assert.That(weight.B.ToArray(), Is.EqualTo(adapter.Terms["model.layers.0.mlp.up_proj"].B.Select(value => 4 * value)));
        Assert.That(weight.A.ToArray(), Is.EqualTo(adapter.Terms["model.layers.0.mlp.up_proj"].A));
    }

    [Test]
    public void ConfigsSayWhatReadersAsk()
    {
        using LanguageModel model = _models.Load("qwen3");
        TestAdapter adapter = TestAdapter.Random(
            4, [.. Enumerable.Range(0, model.Config.LayerCount).SelectMany(layer => new[] { ($"model.layers.{layer}.self_attn.q_proj", 8, 6), ($"model.layers.{layer}.mlp.up_proj", 8, 6) })]);
        LoraAdapter loaded = LoraAdapter.Load(adapter.WriteMlx(New()));
        JsonElement peft = Config(Save(loaded, AdapterFormat.Peft, model.Config));
        Assert.That(peft.GetProperty("peft_type").GetString(), Is.EqualTo("LORA"));
        Assert.That(peft.GetProperty("lora_alpha").GetRawText(), Is.EqualTo("8"));
        Assert.That(peft.GetProperty("target_modules").EnumerateArray().Select(item => item.GetString()), Is.EqualTo("q_proj up_proj".Split(' ')));
        Assert.That(peft.GetProperty("base_model_name_or_path").GetString(), Is.EqualTo("somewhere/base"));
        string text = File.ReadAllText(Path.Combine(Save(loaded, AdapterFormat.MlxLm).Path, "adapter_config.json"));
        JsonElement mlx = JsonDocument.Parse(text).RootElement;
        Assert.That(text, Does.StartWith("{\n    \"fine_tune_type\": \"lora\",\n    \"lora_parameters\": {\n        \"dropout\""));
        Assert.That(mlx.GetProperty("num_layers").GetInt32(), Is.EqualTo(-1));
        JsonElement parameters = mlx.GetProperty("lora_parameters");
        Assert.That((parameters.GetProperty("rank").GetInt32(), parameters.GetProperty("scale").GetDouble()), Is.EqualTo((4, 2.0)));
        Assert.That(parameters.GetProperty("keys").EnumerateArray().Select(item => item.GetString()), Is.EqualTo("self_attn.q_proj mlp.up_proj".Split(' ')));

        // Where layers differ the modules are named one by one.
        TestAdapter some = TestAdapter.Random(4, (Query, 8, 6), ("model.layers.1.mlp.up_proj", 8, 6));
        Assert.That(
            Config(Save(LoraAdapter.Load(some.WriteMlx(New())), AdapterFormat.Peft, model.Config)).GetProperty("target_modules").EnumerateArray().Select(item => item.GetString()),
            Is.EqualTo(some.Terms.Keys));
        string path = New(".gguf");
        loaded.Save(path, AdapterFormat.Gguf, new AdapterSaveOptions { Model = model.Config, BaseModel = "other" });
        using var gguf = GgufFile.Open(path);
        Assert.That(gguf.Metadata.Get<string>("general.type"), Is.EqualTo("adapter"));
        Assert.That(gguf.Metadata.Get<string>("adapter.type"), Is.EqualTo("lora"));
        Assert.That(gguf.Metadata.Get<float>("adapter.lora.alpha"), Is.EqualTo(8));
        Assert.That(gguf.Metadata.Get<string>("general.architecture"), Is.EqualTo("qwen3"));
        Assert.That(gguf.TryGet("blk.0.attn_q.weight.lora_a", out GgufTensor? a));
        Assert.That(a!.Dimensions, Is.EqualTo(new long[] { 6, 4 }));
        Assert.That(LoraAdapter.Load(path).BaseModel, Is.EqualTo("other"));

        static JsonElement Config(LoraAdapter adapter) => JsonDocument.Parse(File.ReadAllText(Path.Combine(adapter.Path, "adapter_config.json"))).RootElement;
    }

    [Test]
    public void WhatCannotBeWrittenIsRefusedAndNothingIsReplaced()
    {
        LoraAdapter adapter = LoraAdapter.Load(TestAdapter.Random(2, (Query, 4, 6)).WriteMlx(New()));
        Assert.That(() => Save(adapter, AdapterFormat.Gguf), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("the model tells it"));
        LoraAdapter llama = LoraAdapter.Load(TestAdapter.Random(2, (Query, 4, 6)).WriteGguf(New(".gguf"), "llama"));
        Assert.That(() => Save(llama, AdapterFormat.Peft), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("size of heads"));
        LoraAdapter stack = Save(LoraAdapter.Load(TestAdapter.Random(2, ("model.layers.0.mlp.experts.0.up_proj", 4, 6)).WritePeft(New())), AdapterFormat.MlxLm);
        Assert.That(() => Save(stack, AdapterFormat.Peft), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("experts one by one"));
        string peft = Save(adapter, AdapterFormat.Peft).Path;
        Assert.That(() => adapter.Save(peft, AdapterFormat.Peft), Throws.InstanceOf<IOException>().With.Message.Contains("not empty"));
        Assert.That(() => adapter.Save(peft, AdapterFormat.MlxLm, new AdapterSaveOptions { Overwrite = true }), Throws.InstanceOf<IOException>().With.Message.Contains("another format"));
        Assert.That(() => adapter.Save(peft, AdapterFormat.Peft, new AdapterSaveOptions { Overwrite = true }), Throws.Nothing);
        using LanguageModel model = _models.Load("qwen3");
        string gguf = Save(adapter, AdapterFormat.Gguf, model.Config).Path;
        Assert.That(() => adapter.Save(gguf, AdapterFormat.Gguf, new AdapterSaveOptions { Model = model.Config }), Throws.InstanceOf<IOException>().With.Message.Contains("exists"));
    }

    private static void AssertSame(LoraAdapter actual, LoraAdapter expected)
    {
        Assert.That(actual.Weights.Select(weight => weight.Name), Is.EquivalentTo(expected.Weights.Select(weight => weight.Name)));
        foreach (LoraWeight weight in actual.Weights)
        {
            LoraWeight other = expected.Weights.Single(other => other.Name == weight.Name);
            Assert.That((weight.Rank, weight.Shape, weight.IsStack, weight.Scale, weight.Codec), Is.EqualTo((other.Rank, other.Shape, other.IsStack, other.Scale, other.Codec)), weight.Name);
            Assert.That(Numbers.Bits(weight.A.Span), Is.EqualTo(Numbers.Bits(other.A.Span)), weight.Name);
            Assert.That(Numbers.Bits(weight.B.Span), Is.EqualTo(Numbers.Bits(other.B.Span)), weight.Name);
            Assert.That(Numbers.Bits(weight.Magnitude.Span), Is.EqualTo(Numbers.Bits(other.Magnitude.Span)), weight.Name);
        }
    }

    private string New(string extension = "") => _folder[$"{_count++}{extension}"];

    private LoraAdapter Save(LoraAdapter adapter, AdapterFormat format, ModelConfig? model = null)
    {
        string path = New(format == AdapterFormat.Gguf ? ".gguf" : "");
        adapter.Save(path, format, new AdapterSaveOptions { Model = model });
        return LoraAdapter.Load(path);
    }
}
