using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.Models.Export;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Export;

/// <summary><see cref="GgufExport"/>: tensors and metadata of the GGUF that a checkpoint becomes.</summary>
public class GgufExportTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("llama3", 96)]
    [TestCase("mistral", 64)]
    public void RowsOfQAndKInterleaveTheHalvesOfTheirHeads(string name, int headSize)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        using GgufExport export = Open(checkpoint);
        foreach ((string gguf, string stored) in ((string, string)[])[("attn_q", "q_proj"), ("attn_k", "k_proj")])
        {
            (int[] shape, float[] values) = checkpoint.Tensors[$"model.layers.1.self_attn.{stored}.weight"];
            AssertRows(Read(export, $"blk.1.{gguf}.weight"), values, shape[0], shape[1]);
            if (checkpoint.Tensors.TryGetValue($"model.layers.1.self_attn.{stored}.bias", out (int[] Shape, float[] Values) bias))
            {
                AssertRows(Read(export, $"blk.1.{gguf}.bias"), bias.Values, shape[0], 1);
            }
        }

        Assert.That(
            Read(export, "blk.1.attn_v.weight"), Is.EqualTo(checkpoint.Tensors["model.layers.1.self_attn.v_proj.weight"].Values));

        void AssertRows(float[] actual, float[] stored, int rows, int columns)
        {
            for (int head = 0; head < rows / headSize; head++)
            {
                for (int j = 0; j < headSize / 2; j++)
                {
                    for (int half = 0; half < 2; half++)
                    {
                        int to = (head * headSize) + (2 * j) + half, from = (head * headSize) + (half * headSize / 2) + j;
                        Assert.That(actual.AsSpan(to * columns, columns).SequenceEqual(stored.AsSpan(from * columns, columns)), $"row {to}");
                    }
                }
            }
        }
    }

    [Test]
    public void AnExportThatFailsLeavesNoFileOpen()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Only Linux lists the mappings and descriptors of a process.");
        }

        string folder = RandomCheckpoint.Create("llama").Write(_folder["model"]);
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!;
        config["hidden_act"] = "none_of_them";
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        var open = new List<ModelFolder>();
        for (int i = 0; i < 50; i++)
        {
            open.Add(ModelFolder.Open(folder));
            Assert.That(() => GgufExport.Create(open[^1]), Throws.InstanceOf<NotSupportedException>().Or.InstanceOf<ModelFormatException>());
        }

        // The list keeps the folders from being collected: it is Create that closed them.
        Assert.That(File.ReadLines("/proc/self/maps").Where(line => line.Contains(folder, StringComparison.Ordinal)), Is.Empty);
        Assert.That(
            Directory.EnumerateFiles("/proc/self/fd").Select(fd => new FileInfo(fd).LinkTarget ?? "")
                .Where(target => target.Contains(folder, StringComparison.Ordinal)),
            Is.Empty);
        GC.KeepAlive(open);
    }

    [Test]
    public void BytesOfPermutedRowsAreThoseOfTheRows()
    {
        using GgufExport export = Open(RandomCheckpoint.Create("llama"));
        Assert.That(export.TryGetTensor("blk.0.attn_q.weight", out ModelTensor? tensor));
        var all = new byte[tensor!.ByteCount];
        tensor.ReadBytes(0, all);
        var random = new Random(1);
        for (int i = 0; i < 20; i++)
        {
            int start = random.Next(all.Length), count = random.Next(Math.Min(5000, all.Length - start));
            var part = new byte[count];
            tensor.ReadBytes(start, part);
            Assert.That(part.AsSpan().SequenceEqual(all.AsSpan(start, count)), $"{count} bytes at {start}");
        }

        using QuantizedTensor loaded = tensor.Load();
        var row = new float[loaded.Shape.Columns];
        loaded.DecodeRow(3, row);
        Assert.That(row, Is.EqualTo(Read(export, "blk.0.attn_q.weight").AsSpan(3 * row.Length, row.Length).ToArray()));
        Assert.That(() => tensor.ReadBytes(all.Length - 1, new byte[2]), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => tensor.ReadRows(255, new float[512]), Throws.InstanceOf<ArgumentException>());
    }

    [TestCase("gemma2", "blk.0.post_ffw_norm.weight", "model.layers.0.post_feedforward_layernorm.weight")]
    [TestCase("gemma3", "blk.3.attn_q_norm.weight", "model.layers.3.self_attn.q_norm.weight")]
    public void GemmasNormsHaveOneAdded(string name, string gguf, string stored)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        using GgufExport export = Open(checkpoint);
        Assert.That(Read(export, gguf), Is.EqualTo(checkpoint.Tensors[stored].Values.Select(value => value + 1)));
    }

    [TestCase("mixtral", "model.layers.1.block_sparse_moe.experts.{0}.w2.weight")]
    [TestCase("qwen3-moe", "model.layers.1.mlp.experts.{0}.down_proj.weight")]
    public void ExpertsAreStacked(string name, string stored)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        using GgufExport export = Open(checkpoint);
        Assert.That(
            Read(export, "blk.1.ffn_down_exps.weight"),
            Is.EqualTo(Enumerable.Range(0, 4).SelectMany(expert =>
                checkpoint.Tensors[string.Format(System.Globalization.CultureInfo.InvariantCulture, stored, expert)].Values)));
    }

    [Test]
    public void NormsBiasesAndRoutersAreFloat32WhateverIsAskedFor([ValueSource(typeof(RandomCheckpoint), nameof(RandomCheckpoint.Names))] string name)
    {
        using GgufExport export = Open(RandomCheckpoint.Create(name));
        var plan = QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.F16));
        ModelConverter.Convert(plan, _folder["x.gguf"], new ConversionOptions { MaxDegreeOfParallelism = 1 });
        using GgufFile file = GgufFile.Open(_folder["x.gguf"]);
        foreach (GgufTensor tensor in file.Tensors)
        {
            bool isSmall = tensor.Dimensions.Length == 1 || tensor.Name.EndsWith(".bias", StringComparison.Ordinal)
                || tensor.Name.Contains("ffn_gate_inp", StringComparison.Ordinal);
            Assert.That(tensor.TypeName, Is.EqualTo(isSmall ? "f32" : "f16"), tensor.Name);
        }
    }

    [Test]
    public void AnExportHasWhatItsArchitectureAsksFor([ValueSource(typeof(RandomCheckpoint), nameof(RandomCheckpoint.Names))] string name)
    {
        using GgufExport export = Open(RandomCheckpoint.Create(name));

        Assert.That(ModelLayout.FindProblems(export), Is.Empty);
    }

    [Test]
    public void MetadataOfAnotherModelShows()
    {
        using GgufExport export = Open(RandomCheckpoint.Create("qwen3-moe"));
        export.Metadata.Set("qwen3moe.expert_count", 5);

        Assert.That(ModelLayout.FindProblems(export), Has.Some.Matches("^blk\\.0\\.ffn_gate_inp\\.weight is \\[4, \\d+\\]; the metadata makes it \\[5, \\d+\\]\\.$"));
    }

    [Test]
    public void AFolderThatIsRefusedIsClosed()
    {
        string path = RandomCheckpoint.Create("llama3").Write(_folder["strange"]);
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(path, "config.json")))!;
        config["model_type"] = "strange";
        config["architectures"] = new JsonArray("StrangeForCausalLM");
        File.WriteAllText(Path.Combine(path, "config.json"), config.ToJsonString());
        ModelFolder folder = ModelFolder.Open(path);
        Assert.That(() => GgufExport.Create(folder), Throws.InstanceOf<NotSupportedException>());
        Assert.That(() => folder.Tensors[0].Load(), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void ScalingOfLlama3IsATensor()
    {
        using GgufExport export = Open(RandomCheckpoint.Create("llama3"));
        float[] factors = Read(export, "rope_freqs.weight");

        // 64 positions of context: faster than 16 a turn stays, slower than 64 is divided by 8, and between they blend.
        double Turn(int i) => 2 * Math.PI * Math.Pow(10000, 2.0 * i / 96);
        Assert.Multiple(() =>
        {
            Assert.That(factors, Has.Length.EqualTo(48));
            for (int i = 0; i < factors.Length; i++)
            {
                double smooth = Math.Clamp(((64 / Turn(i)) - 1) / 3, 0, 1);
                Assert.That(factors[i], Is.EqualTo(1 / (((1 - smooth) / 8) + smooth)).Within(1e-5), $"pair {i}");
            }
        });
    }

    [Test]
    public void MetadataIsThatOfLlamaCppsConverter()
    {
        using GgufExport moe = Open(RandomCheckpoint.Create("qwen3-moe"));
        Assert.That(
            moe.Metadata.Where(pair => !pair.Key.StartsWith("tokenizer.", StringComparison.Ordinal)).Select(pair => $"{pair.Key} {pair.Value.Type} {pair.Value}"),
            Is.EqualTo(
            [
                "general.architecture String qwen3moe", "general.type String model", "general.name String model", "general.size_label String 4x954K",
                "qwen3moe.block_count UInt32 2", "qwen3moe.context_length UInt32 512", "qwen3moe.embedding_length UInt32 256",
                "qwen3moe.feed_forward_length UInt32 512", "qwen3moe.attention.head_count UInt32 4", "qwen3moe.attention.head_count_kv UInt32 2",
                "qwen3moe.rope.freq_base Float32 10000", "qwen3moe.attention.layer_norm_rms_epsilon Float32 1E-06", "qwen3moe.expert_count UInt32 4",
                "qwen3moe.expert_used_count UInt32 2", "qwen3moe.expert_feed_forward_length UInt32 256", "qwen3moe.attention.key_length UInt32 64",
                "qwen3moe.attention.value_length UInt32 64",
            ]));
    }

    [TestCase("llama-linear", "llama.rope.scaling.type", "linear")]
    [TestCase("llama-linear", "llama.rope.scaling.factor", "4")]
    [TestCase("llama3", "llama.attention.key_length", "96")]
    [TestCase("llama3", "llama.rope.dimension_count", "96")]
    [TestCase("mixtral", "llama.expert_used_count", "2")]
    [TestCase("mixtral", "llama.rope.freq_base", "1000000")]
    [TestCase("mistral", "llama.vocab_size", "320")]
    [TestCase("gemma2", "gemma2.attn_logit_softcapping", "50")]
    [TestCase("gemma3", "gemma3.rope.freq_base_swa", "10000")]
    [TestCase("gemma3", "gemma3.attention.sliding_window", "8")]
    [TestCase("phi3", "phi3.rope.dimension_count", "64")]
    [TestCase("phi3", "phi3.attention.sliding_window", "0")]
    [TestCase("phi3-longrope", "phi3.rope.scaling.original_context_length", "256")]
    [TestCase("phi3-longrope", "phi3.rope.scaling.attn_factor", "1.118034")]
    public void FamiliesHaveKeysOfTheirOwn(string name, string key, string value)
    {
        using GgufExport export = Open(RandomCheckpoint.Create(name));
        Assert.That(export.Metadata[key].ToString(), Is.EqualTo(value));
    }

    [Test]
    public void RopeParametersOfNewerCheckpointsAreUnderstood()
    {
        var checkpoint = RandomCheckpoint.Create("gemma3");
        checkpoint.Config.Remove("rope_theta");
        checkpoint.Config.Remove("rope_local_base_freq");
        checkpoint.Config["rope_parameters"] = JsonNode.Parse(
            """{"full_attention":{"rope_type":"linear","factor":8,"rope_theta":5e5},"sliding_attention":{"rope_type":"default","rope_theta":2e4}}""");
        using GgufExport export = Open(checkpoint);
        Assert.Multiple(() =>
        {
            Assert.That(export.Metadata["gemma3.rope.freq_base"].ToString(), Is.EqualTo("500000"));
            Assert.That(export.Metadata["gemma3.rope.freq_base_swa"].ToString(), Is.EqualTo("20000"));
            Assert.That(export.Metadata["gemma3.rope.scaling.factor"].ToString(), Is.EqualTo("8"));
        });
    }

    [Test]
    public void TheNameIsThatOfTheRepositoryAndNeverLooksLikePhi3()
    {
        string cache = _folder["models--who--What-7B/snapshots/0123abc"];
        RandomCheckpoint.Create("llama").Write(cache);
        using var cached = GgufExport.Create(ModelFolder.Open(cache));
        RandomCheckpoint.Create("qwen3").Write(_folder["not-Phi-3-mini"]);
        using var phi = GgufExport.Create(ModelFolder.Open(_folder["not-Phi-3-mini"]));
        using var named = GgufExport.Create(ModelFolder.Open(cache), new GgufExportOptions { Name = "Mine" });
        Assert.Multiple(() =>
        {
            Assert.That(cached.Metadata.Get<string>("general.name"), Is.EqualTo("What-7B"));
            Assert.That(phi.Metadata.Get<string>("general.name"), Is.EqualTo("model"));
            Assert.That(named.Metadata.Get<string>("general.name"), Is.EqualTo("Mine"));
        });
    }

    [Test]
    public void WindowsAndDynamicScalingAreNoted()
    {
        var checkpoint = RandomCheckpoint.Create("qwen2");
        checkpoint.Config["use_sliding_window"] = true;
        checkpoint.Config["sliding_window"] = 100;
        checkpoint.Config["max_window_layers"] = 1;
        checkpoint.Config["rope_scaling"] = new JsonObject { ["type"] = "dynamic", ["factor"] = 2.0 };
        using GgufExport export = Open(checkpoint);
        Assert.That(export.Notes, Has.Count.EqualTo(2));
        using GgufExport plain = Open(RandomCheckpoint.Create("qwen2"));
        Assert.That(plain.Notes, Is.Empty);
    }

    [Test]
    public void DefaultsAreThoseOfTheClasses()
    {
        var checkpoint = RandomCheckpoint.Create("qwen3");
        foreach (string key in (string[])["head_dim", "rope_theta", "rms_norm_eps", "max_position_embeddings"])
        {
            checkpoint.Config.Remove(key);
        }

        using GgufExport export = Open(checkpoint);
        Assert.Multiple(() =>
        {
            Assert.That(export.Metadata["qwen3.attention.key_length"].ToString(), Is.EqualTo("128"));
            Assert.That(export.Metadata["qwen3.context_length"].ToString(), Is.EqualTo("32768"));
            Assert.That(export.Metadata["qwen3.rope.freq_base"].ToString(), Is.EqualTo("10000"));
            Assert.That(export.Metadata["qwen3.attention.layer_norm_rms_epsilon"].ToString(), Is.EqualTo("1E-06"));
        });
    }

    private GgufExport Open(RandomCheckpoint checkpoint) => GgufExport.Create(ModelFolder.Open(checkpoint.Write(_folder["model"])));

    private static float[] Read(GgufExport export, string name)
    {
        Assert.That(export.TryGetTensor(name, out ModelTensor? tensor), name);
        var values = new float[tensor!.GetWeightCount()];
        tensor!.ReadRows(0, values);
        return values;
    }
}
