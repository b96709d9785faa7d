using System.Runtime.InteropServices;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Checkpoints of every layout show the tensors that mlx-lm's model classes have.</summary>
public class ModelFolderTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    /// <summary>A tensor without elements has no rows, whatever its other dimensions claim, and all that is asked of it agrees.</summary>
    [TestCase(0L, 256L)]
    [TestCase(4L, 0L)]
    [TestCase(0L)]
    [TestCase(3L, 0L, 256L)]
    [TestCase(0L, 1L << 40, 256L)]
    public void TensorsWithADimensionOfZeroHaveNoRows(params long[] shape)
    {
        using var folder = new TemporaryFolder();
        folder.Write("model/config.json", "{}");
        var writer = new SafetensorsWriter();
        writer.Add("empty.weight", ElementType.F32, shape, Array.Empty<byte>());
        writer.Write(folder["model/model.safetensors"]);
        using ModelFolder model = ModelFolder.Open(folder["model"]);
        var ggufWriter = new GgufWriter();
        ggufWriter.Add("empty.weight", [.. shape.Reverse()], GgmlType.Of(QuantFormat.F32), _ => { });
        ggufWriter.Write(folder["empty.gguf"]);
        using GgufModel gguf = GgufModel.Open(folder["empty.gguf"]);
        foreach (ModelTensor tensor in (ModelTensor[])[model.Tensors[0], gguf.Tensors[0]])
        {
            QuantShape quantShape = tensor.GetQuantShape();
            Assert.That((quantShape.TotalRows, quantShape.Columns, tensor.GetWeightCount()), Is.EqualTo((0L, (int)shape[^1], 0L)));
            Assert.That(() => tensor.ReadRows(0, []), Throws.Nothing);
            Assert.That(() => tensor.ReadRows(1, []), Throws.InstanceOf<ArgumentException>());
            Assert.That(() => tensor.ReadBytes(0, []), Throws.Nothing);
            using QuantizedTensor loaded = tensor.Load();
            Assert.That(loaded.Shape, Is.EqualTo(quantShape));
        }
    }

    [Test]
    public void DenseModelIsReadAsItIsStored()
    {
        using ModelFolder model = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-dense"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(model.ModelType, Is.EqualTo("qwen3"));
            Assert.That(model.QuantizationMode, Is.Null);
            Assert.That(model.Dropped, Is.Empty);
            Assert.That(model.Tensors.Select(tensor => tensor.Name), Is.EqualTo(model.Weights.Tensors.Select(tensor => tensor.Name)));
        }

        foreach (ModelTensor tensor in model.Tensors)
        {
            QuantizedTensor stored = model.Weights.GetTensor(tensor.Name);
            Assert.That(tensor.FormatName, Is.EqualTo("bf16"));
            CheckRows(tensor, row => stored);
        }
    }

    [Test]
    public void ExpertsOfAMoeModelAppearStacked()
    {
        using ModelFolder model = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-moe"));
        string[] perLayer =
        [
            "input_layernorm.weight", "mlp.gate.weight", "mlp.switch_mlp.down_proj.weight", "mlp.switch_mlp.gate_proj.weight",
            "mlp.switch_mlp.up_proj.weight", "post_attention_layernorm.weight", "self_attn.k_norm.weight", "self_attn.k_proj.weight",
            "self_attn.o_proj.weight", "self_attn.q_norm.weight", "self_attn.q_proj.weight", "self_attn.v_proj.weight",
        ];
        IEnumerable<string> expected = Enumerable.Range(0, 3).SelectMany(layer => perLayer.Select(name => $"model.layers.{layer}.{name}"))
            .Append("model.embed_tokens.weight").Append("model.norm.weight");
        Assert.That(model.Tensors.Select(tensor => tensor.Name), Is.EquivalentTo(expected));

        foreach (string leaf in (string[])["gate_proj", "up_proj", "down_proj"])
        {
            Assert.That(model.TryGetTensor($"model.layers.1.mlp.switch_mlp.{leaf}.weight", out ModelTensor? stack));
            Assert.That(stack!.Shape, Is.EqualTo([8L, 256, 256]));
            CheckRows(stack, row => model.Weights.GetTensor($"model.layers.1.mlp.experts.{row / 256}.{leaf}.weight"), 256);
        }
    }

    [Test]
    public void MixtralNamesBecomeGateUpAndDown()
    {
        Config("""{"model_type": "mixtral", "num_local_experts": 2}""");
        Weights(
            F32("model.layers.0.block_sparse_moe.gate.weight", [2, 1], 9),
            F32("model.layers.0.block_sparse_moe.experts.1.w1.weight", [1, 2], 11),
            F32("model.layers.0.block_sparse_moe.experts.0.w2.weight", [2, 1], 2),
            F32("model.layers.0.block_sparse_moe.experts.0.w3.weight", [1, 2], 3),
            F32("model.layers.0.block_sparse_moe.experts.0.w1.weight", [1, 2], 1),
            F32("model.layers.0.block_sparse_moe.experts.1.w2.weight", [2, 1], 12),
            F32("model.layers.0.block_sparse_moe.experts.1.w3.weight", [1, 2], 13));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        const string Prefix = "model.layers.0.block_sparse_moe.";
        Assert.That(
            model.Tensors.Select(tensor => (tensor.Name, string.Join(",", tensor.Shape), string.Join(",", Values(tensor)))),
            Is.EqualTo(
            [
                (Prefix + "gate.weight", "2,1", "9,9"),
                (Prefix + "switch_mlp.gate_proj.weight", "2,1,2", "1,1,11,11"),
                (Prefix + "switch_mlp.down_proj.weight", "2,2,1", "2,2,12,12"),
                (Prefix + "switch_mlp.up_proj.weight", "2,1,2", "3,3,13,13"),
            ]));
    }

    [Test]
    public void FusedExpertsAreSplitIntoHalvesWithoutACopy()
    {
        Config("""{"model_type": "qwen3_moe", "hidden_size": 2, "num_experts": 2}""");
        float[] values = [.. Enumerable.Range(0, 16).Select(i => (float)i)];
        Weights(
            ("model.layers.0.mlp.experts.gate_up_proj", "F32", [2, 4, 2], Bytes(values)),
            ("model.layers.0.mlp.experts.down_proj", "F32", [2, 2, 2], Bytes(values[..8])));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(
            model.Tensors.Select(tensor => (tensor.Name[30..], string.Join(",", tensor.Shape), string.Join(",", Values(tensor)))),
            Is.EqualTo(
            [
                ("gate_proj.weight", "2,2,2", "0,1,2,3,8,9,10,11"),
                ("up_proj.weight", "2,2,2", "4,5,6,7,12,13,14,15"),
                ("down_proj.weight", "2,2,2", "0,1,2,3,4,5,6,7"),
            ]));
        Assert.That(model.Tensors[0].Name, Does.StartWith("model.layers.0.mlp.switch_mlp."));
    }

    [TestCase("""{"model_type": "gpt_oss", "hidden_size": 2}""", TestName = "FusedExpertsOfGptOssStay")]
    [TestCase("""{"model_type": "qwen3_moe", "hidden_size": 4}""", TestName = "TransposedFusedExpertsStay")]
    [TestCase("""{"model_type": "qwen3_moe"}""", TestName = "FusedExpertsOfUnknownWidthStay")]
    public void OtherFusedExpertsStay(string config)
    {
        Config(config);
        Weights(("model.layers.0.mlp.experts.gate_up_proj", "F32", [2, 4, 2], new byte[64]));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(model.Tensors.Single().Name, Is.EqualTo("model.layers.0.mlp.experts.gate_up_proj"));
    }

    [TestCase("""{"model_type": "qwen3", "tie_word_embeddings": true}""", "", false)]
    [TestCase("""{"model_type": "qwen3", "tie_word_embeddings": false}""", "", true)]
    [TestCase("""{"model_type": "qwen3"}""", "", true)]
    [TestCase("""{"model_type": "gemma2"}""", "", false)]
    [TestCase("""{"model_type": "gemma3_text", "tie_word_embeddings": true}""", "", true)]
    [TestCase("""{"text_config": {"tie_word_embeddings": true}, "tie_word_embeddings": false}""", "language_model.", false)]
    public void TiedHeadIsDropped(string config, string prefix, bool kept)
    {
        Config(config);
        Weights(F32("model.embed_tokens.weight", [1, 1], 1), F32("lm_head.weight", [1, 1], 1));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        string[] expected = ["model.embed_tokens.weight", .. kept ? (string[])["lm_head.weight"] : []];
        Assert.That(model.Tensors.Select(tensor => tensor.Name), Is.EqualTo(expected.Select(name => prefix + name)));
        Assert.That(model.Dropped.Select(dropped => dropped.Name), Is.EqualTo(kept ? [] : (string[])["lm_head.weight"]));
    }

    [TestCase("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", null)]
    [TestCase("llama", "model.layers.0.attention.masked_bias", null)]
    [TestCase("llama", "language_model.model.norm.weight", "model.norm.weight")]
    [TestCase("llama", "model.language_model.norm.weight", "model.norm.weight")]
    [TestCase("phi3", "model.layers.0.self_attn.qkv_proj.weight", "model.layers.0.self_attn.qkv_proj.weight")]
    [TestCase("phi3", "model.layers.0.mlp.gate_up_proj.weight", "model.layers.0.mlp.gate_up_proj.weight")]
    [TestCase("qwen2_moe", "model.layers.0.mlp.shared_expert_gate.weight", "model.layers.0.mlp.shared_expert_gate.weight")]
    [TestCase("qwen2_moe", "model.layers.0.mlp.switch_mlp.up_proj.weight", "model.layers.0.mlp.switch_mlp.up_proj.weight")]
    [TestCase("glm4_moe", "model.layers.1.mlp.gate.weight", "model.layers.1.mlp.gate.weight")]
    [TestCase("glm4_moe", "model.layers.2.mlp.gate.weight", null)]
    [TestCase("qwen3", "model.layers.2.mlp.gate.weight", "model.layers.2.mlp.gate.weight")]
    [TestCase("qwen3_next", "mtp.layers.0.mlp.gate.weight", null)]
    [TestCase("gemma3+", "vision_tower.vision_model.encoder.weight", null)]
    [TestCase("gemma3+", "model.vision_tower.vision_model.encoder.weight", null)]
    [TestCase("gemma3+", "multi_modal_projector.mm_input_projection_weight", null)]
    [TestCase("gemma3+", "language_model.model.norm.weight", "language_model.model.norm.weight")]
    [TestCase("gemma3+", "model.language_model.norm.weight", "language_model.model.norm.weight")]
    [TestCase("gemma3+", "language_model.lm_head.weight", "language_model.lm_head.weight")]
    [TestCase("llama", "vision_tower.weight", "vision_tower.weight")]
    public void NamesAreThoseOfMlx(string type, string stored, string? expected)
    {
        string text = type.EndsWith('+') ? """, "text_config": {}""" : "";
        Config($$"""{"model_type": "{{type.TrimEnd('+')}}", "num_hidden_layers": 2{{text}}}""");
        Weights(F32(stored, [1, 1], 1));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(model.Tensors.Select(tensor => tensor.Name), Is.EqualTo(expected is null ? [] : (string[])[expected]));
        Assert.That(model.Dropped, Has.Count.EqualTo(expected is null ? 1 : 0));
    }

    [Test]
    public void ExpertsMayLieInDifferentShards()
    {
        Config("""{"model_type": "qwen3_moe", "num_experts": 2}""");
        const string Experts = "model.layers.0.mlp.experts.";
        _folder.Write("model-00001-of-00002.safetensors", SafetensorsBytes.Build(F32(Experts + "0.up_proj.weight", [2, 2], 1)));
        _folder.Write("model-00002-of-00002.safetensors", SafetensorsBytes.Build(F32(Experts + "1.up_proj.weight", [2, 2], 2)));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(Values(model.Tensors.Single()), Is.EqualTo([1f, 1, 1, 1, 2, 2, 2, 2]));
        using QuantizedTensor loaded = model.GetTensor("model.layers.0.mlp.switch_mlp.up_proj");
        var row = new float[2];
        loaded.DecodeRow(3, row);
        Assert.That(row, Is.EqualTo([2f, 2]));
        Assert.That(loaded.Shape, Is.EqualTo(QuantShape.Stack(2, 2, 2)));
    }

    [TestCase("experts.2.up_proj.weight", "F32", 2, "expert 1 of 3 is missing", TestName = "MissingExpert")]
    [TestCase("experts.1.up_proj.weight", "F16", 2, "unlike expert 0", TestName = "ExpertOfAnotherType")]
    [TestCase("experts.1.up_proj.weight", "F32", 4, "unlike expert 0", TestName = "ExpertOfAnotherShape")]
    [TestCase("experts.01.up_proj.weight", "F32", 2, "the config has 3", TestName = "TooFewExperts")]
    [TestCase("experts.00.up_proj.weight", "F32", 2, "also stored as", TestName = "ExpertTwice")]
    [TestCase("switch_mlp.up_proj.weight", "F32", 2, "two stored tensors", TestName = "StackedAndSingle")]
    public void IncompleteStacksAreRefused(string name, string type, int columns, string message)
    {
        Config("""{"model_type": "qwen3_moe", "num_experts": 3}""");
        if (name.StartsWith("switch", StringComparison.Ordinal))
        {
            Config("""{"model_type": "qwen3_moe"}""");
        }

        Weights(
            F32("model.layers.0.mlp.experts.0.up_proj.weight", [1, 2], 1),
            ("model.layers.0.mlp." + name, type, [1, columns], new byte[columns * (type == "F32" ? 4 : 2)]));

        Assert.That(() => ModelFolder.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));
    }

    [TestCase(null, "missing")]
    [TestCase("", "JSON")]
    [TestCase("[]", "no JSON object")]
    [TestCase("{\"a\":\"\\ud800\"}", "JSON")]
    public void ConfigMustBeAnObject(string? config, string message)
    {
        Weights(F32("a.weight", [1], 1));
        if (config is not null)
        {
            Config(config);
        }

        Assert.That(() => ModelFolder.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));
    }

    [Test]
    public void HostileConfigStaysWithinBounds()
    {
        Weights(F32("a.weight", [1], 1));
        Config("{\"a\":" + new string('[', 4_000_000));
        CheckBounded();
        Config("{\"a\":[" + string.Concat(Enumerable.Repeat("0,", 4_000_000)) + "0]}");
        CheckBounded();
        string modules = string.Join(",", Enumerable.Range(0, 120_000).Select(i => $"\"{i}\":\"q4_k\""));
        Config("{\"quantization\": {\"mode\": \"kquant\", \"per_tensor\": {" + modules + "}}}");
        CheckBounded();

        void CheckBounded()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Throws<ModelFormatException>(() => ModelFolder.Open(_folder.Path));
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(64L << 20));
        }
    }

    [TestCase("config.json", TestName = "MutatedConfig")]
    [TestCase(SafetensorsFile.IndexName, TestName = "MutatedIndex")]
    [TestCase("model.safetensors", TestName = "MutatedWeights")]
    public void MutatedFilesGiveAModelOrOneKindOfException(string mutated)
    {
        Config("""{"model_type": "qwen3_moe", "num_experts": 2, "hidden_size": 2, "text_config": {"a": [1.5, null, "\u00e9"]}}""");
        Weights(
            F32("model.layers.0.mlp.experts.0.up_proj.weight", [2, 2], 1),
            F32("model.layers.0.mlp.experts.1.up_proj.weight", [2, 2], 2),
            F32("model.layers.1.mlp.experts.gate_up_proj", [2, 4, 2], 3));
        IEnumerable<string> names = ["0.mlp.experts.0.up_proj.weight", "0.mlp.experts.1.up_proj.weight", "1.mlp.experts.gate_up_proj"];
        _folder.Write(
            SafetensorsFile.IndexName,
            $"{{\"weight_map\":{{{string.Join(",", names.Select(name => $"\"model.layers.{name}\":\"model.safetensors\""))}}}}}");
        ModelFolder.Open(_folder.Path).Dispose();

        byte[] whole = File.ReadAllBytes(_folder[mutated]);
        var random = new Random(5);
        for (int i = 0; i < 700; i++)
        {
            _folder.Write(mutated, Mutation.Apply(random, whole));
            try
            {
                using ModelFolder model = ModelFolder.Open(_folder.Path);
                foreach (ModelTensor tensor in model.Tensors)
                {
                    tensor.ReadBytes(0, new byte[tensor.ByteCount]);
                    tensor.Load().Dispose();
                }
            }
            catch (ModelFormatException)
            {
            }
            catch (NotSupportedException)
            {
                // A mutation may turn floats into integers, which cannot be loaded as weights.
            }
        }
    }

    [Test]
    public void MissingFolderIsAnInputOutputError() =>
        Assert.Throws<DirectoryNotFoundException>(() => ModelFolder.Open(_folder["none"]));

    [Test]
    public void ReadingChecksItsArguments()
    {
        Config("{}");
        Weights(F32("w", [2, 3], 1), ("ids", "I64", [1], new byte[8]));
        using ModelFolder model = ModelFolder.Open(_folder.Path);
        ModelTensor tensor = model.Tensors[0];
        using (Assert.EnterMultipleScope())
        {
            Assert.Throws<ArgumentException>(() => tensor.ReadRows(0, new float[4]));
            Assert.Throws<ArgumentOutOfRangeException>(() => tensor.ReadRows(1, new float[6]));
            Assert.That(
                () => tensor.ReadRows(-1, new float[3]),
                Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.StartsWith("1 rows from row -1 do not lie inside tensor 'w', which has 2."));
            Assert.Throws<ArgumentOutOfRangeException>(() => tensor.ReadBytes(20, new byte[5]));
            Assert.Throws<NotSupportedException>(() => model.Tensors[1].ReadRows(0, new float[1]));
            Assert.Throws<NotSupportedException>(() => model.Tensors[1].Load());
            Assert.Throws<KeyNotFoundException>(() => model.GetTensor("none"));
        }
    }

    private static (string Name, string Type, long[] Shape, byte[] Data) F32(string name, long[] shape, float value) =>
        (name, "F32", shape, Bytes([.. Enumerable.Repeat(value, (int)shape.Aggregate(1L, (a, b) => a * b))]));

    private static byte[] Bytes(float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    /// <summary>All values, read in bytes of odd lengths and in runs of rows that do not end with a part.</summary>
    private static float[] Values(ModelTensor tensor)
    {
        var bytes = new byte[tensor.ByteCount];
        for (int at = 0; at < bytes.Length; at += 5)
        {
            tensor.ReadBytes(at, bytes.AsSpan(at, Math.Min(5, bytes.Length - at)));
        }

        int columns = tensor.GetQuantShape().Columns;
        var values = new float[tensor.GetWeightCount()];
        for (int row = 0; row * columns < values.Length; row += 3)
        {
            tensor.ReadRows(row, values.AsSpan(row * columns, Math.Min(3 * columns, values.Length - (row * columns))));
        }

        Assert.That(bytes, Is.EqualTo(Bytes(values)));
        return values;
    }

    private static void CheckRows(ModelTensor tensor, Func<long, QuantizedTensor> source, int rowsPerSource = int.MaxValue)
    {
        QuantShape shape = tensor.GetQuantShape();
        var all = new float[shape.TotalWeights];
        tensor.ReadRows(0, all);
        var row = new float[shape.Columns];
        for (long r = 0; r < shape.TotalRows; r++)
        {
            source(r).DecodeRow(r % rowsPerSource, row);
            if (!row.AsSpan().SequenceEqual(all.AsSpan((int)r * shape.Columns, shape.Columns)))
            {
                Assert.Fail($"{tensor.Name} row {r}");
            }
        }
    }

    private void Config(string json) => _folder.Write("config.json", json);

    private void Weights(params (string Name, string Type, long[] Shape, byte[] Data)[] tensors) =>
        _folder.Write("model.safetensors", SafetensorsBytes.Build(tensors));
}
