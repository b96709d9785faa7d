using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Checkpoints as other programs leave them: with names, schemes and files that are not those of a plain float model.</summary>
public class CheckpointKindsTests
{
    private const int Size = 256;

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase("gptq", "q_proj.qweight:I32:32,256", "q_proj.qzeros:I32:2,32", "q_proj.scales:F16:2,256", "q_proj.g_idx:I32:256")]
    [TestCase("awq", "q_proj.qweight:I32:256,32", "q_proj.qzeros:I32:2,32", "q_proj.scales:F16:2,256")]
    [TestCase("bitsandbytes", "q_proj.weight:U8:32768,1", "q_proj.weight.absmax:U8:1024", "q_proj.weight.quant_state.bitsandbytes__nf4:U8:8")]
    [TestCase("bitsandbytes", "q_proj.weight:I8:256,256", "q_proj.SCB:F32:256")]
    [TestCase("quanto", "q_proj.weight._data:I8:256,256", "q_proj.weight._scale:BF16:256,1")]
    [TestCase("int8", "q_proj.weight:I8:256,256", "q_proj.weight_scale:BF16:256,1")]
    [TestCase("compressed-tensors", "q_proj.weight_packed:I32:256,32", "q_proj.weight_scale:BF16:256,2")]
    [TestCase("affine", "q_proj.weight:U32:256,32", "q_proj.scales:BF16:256,4", "q_proj.biases:BF16:256,4")]
    [TestCase("fp8", "q_proj.weight:F8_E4M3:256,256")]
    [TestCase("fp8 with fused experts", "experts.gate_up_proj:F8_E4M3:4,512,256", "experts.gate_up_proj_scale_inv:F32:4,4,2")]
    [TestCase("fp8 with fused experts", "experts.down_proj:F8_E5M2:4,256,256", "experts.down_proj_scale:BF16:4,1,1")]
    [TestCase("fp8 with fused experts", "ffn.experts.mlp.w2:F8_E4M3:1024,256", "ffn.experts.mlp.w2_scale_inv:F32:8,2")]
    [TestCase("fp8 with fused experts", "switch_mlp.up_proj.weight:F8_E4M3:2,128,128", "switch_mlp.up_proj.weight_scale_inv:F32:2,1,1")]
    [TestCase("nvfp4", "q_proj.weight:U8:256,128", "q_proj.weight_scale:F8_E4M3:256,16", "q_proj.weight_scale_2:F32:1")]
    [TestCase("kquant without its codecs", "q_proj.weight:U8:256,144", "q_proj.scales:U8:1")]
    [TestCase("lora", "q_proj.lora_A.weight:F32:8,256", "q_proj.lora_B.weight:F32:256,8")]
    public void ASchemeIsRecognizedByItsTensors(string scheme, params string[] tensors)
    {
        Write("{}", [.. tensors.Select(tensor => Zeros("model.layers.0.self_attn." + tensor))]);
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(folder.QuantizationMode, Is.EqualTo(scheme));
        QuantizationPlan plan = QuantizationPlan.Uniform(folder, QuantCodec.Get(QuantFormat.Q4_K));
        Assert.That(
            () => ModelConverter.Convert(plan, _folder["out"]),
            Throws.TypeOf<NotSupportedException>().With.Message.Contains($"'{scheme}'"));
        Assert.That(ModelVerifier.Verify(folder).Problems, Has.Some.Contains($"'{scheme}'"));
        Assert.That(Directory.Exists(_folder["out"]), Is.False);
    }

    [TestCase("_scale_inv", "3,2")]
    [TestCase("_scale", "300,1")]
    [TestCase("_scale", "1")]
    [TestCase("_scale", "")]
    public void EightBitFloatsWithFactorsAreDecoded(string suffix, string shape)
    {
        // Rows that are no multiple of a block of 128.
        const int Rows = 300;
        var codes = new byte[Rows * Size];
        new Random(3).NextBytes(codes);
        for (int i = 0; i < codes.Length; i++)
        {
            codes[i] = (codes[i] & 127) == 127 ? (byte)0 : codes[i];
        }

        long[] factorShape = Shape(shape);
        float[] factors = [.. Enumerable.Range(1, (int)factorShape.Aggregate(1L, (a, b) => a * b)).Select(i => 0.01f * i)];
        const string Name = "model.layers.0.mlp.up_proj.weight";
        Write(
            """{"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}""",
            new Stored(Name, ElementType.F8_E4M3, [Rows, Size], codes),
            new Stored(Name + suffix, ElementType.F32, factorShape, MemoryMarshal.AsBytes(factors.AsSpan()).ToArray()),
            new Stored("model.layers.0.mlp.up_proj.input_scale", ElementType.F32, [1], new byte[4]));

        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(folder.QuantizationMode, Is.Null);
        ModelTensor tensor = folder.Tensors.Single();
        Assert.That((tensor.Name, tensor.FormatName, tensor.ByteCount), Is.EqualTo((Name, "f32", 4L * codes.Length)));
        var expected = new float[codes.Length];
        for (int i = 0; i < codes.Length; i++)
        {
            (int row, int column) = (i / Size, i % Size);
            float factor = factors.Length == 1 ? factors[0] : factors.Length == Rows ? factors[row] : factors[(row / 128 * 2) + (column / 128)];
            expected[i] = E4M3(codes[i]) * factor;
        }

        var rows = new float[codes.Length];
        tensor.ReadRows(0, rows);
        Assert.That(rows, Is.EqualTo(expected));
        var bytes = new byte[4 * codes.Length];
        tensor.ReadBytes(0, bytes.AsSpan(0, 1001));
        tensor.ReadBytes(1001, bytes.AsSpan(1001));
        Assert.That(MemoryMarshal.Cast<byte, float>(bytes).SequenceEqual(expected));
        Assert.That(tensor.Load().Shape, Is.EqualTo(new QuantShape(Rows, Size)));

        ModelConverter.Convert(QuantizationPlan.Uniform(folder, QuantCodec.Get(QuantFormat.Q8_0)), _folder["out"]);
        using ModelFolder written = ModelFolder.Open(_folder["out"]);
        Assert.That((written.QuantizationMode, written.Tensors.Single().FormatName), Is.EqualTo(("kquant", "q8_0")));
    }

    [Test]
    public void ExpertsOfEightBitFloatsAreStacked()
    {
        var stored = new List<Stored>();
        for (int expert = 0; expert < 3; expert++)
        {
            string name = $"model.layers.0.mlp.experts.{expert}.up_proj.weight";
            stored.Add(new Stored(name, ElementType.F8_E4M3, [128, 128], [.. Enumerable.Repeat((byte)0x38, 128 * 128)]));
            stored.Add(new Stored(name + "_scale_inv", ElementType.F32, [1, 1], BitConverter.GetBytes(expert + 1f)));
        }

        Write("""{"quantization_config": {"quant_method": "fp8"}, "num_experts": 3}""", [.. stored]);
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        ModelTensor stack = folder.Tensors.Single();
        Assert.That(stack.Shape, Is.EqualTo([3L, 128L, 128L]));
        var rows = new float[2 * 128];
        stack.ReadRows(127, rows);
        Assert.That((rows[0], rows[127], rows[128], rows[255]), Is.EqualTo((1f, 1f, 2f, 2f)));
    }

    [TestCase("2,3", "F32", "fit neither")]
    [TestCase("3,2", "U8", "not floats")]
    public void FactorsThatFitNothingAreRefused(string shape, string type, string message)
    {
        Write(
            "{}",
            Zeros("model.layers.0.mlp.up_proj.weight:F8_E4M3:300,256"), Zeros($"model.layers.0.mlp.up_proj.weight_scale_inv:{type}:{shape}"));
        Assert.That(() => ModelFolder.Open(_folder["model"]), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));
    }

    [TestCase("embed_tokens.weight", "layers.0.mlp.up_proj.weight", "norm.weight")]
    [TestCase("base_model.model.model.embed_tokens.weight", "base_model.model.model.layers.0.mlp.up_proj.weight", "base_model.model.model.norm.weight")]
    [TestCase("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight")]
    [TestCase("language_model.model.embed_tokens.weight", "language_model.model.layers.0.mlp.up_proj.weight", "language_model.model.norm.weight")]
    public void PrefixesOfOtherProgramsAreUnderstood(params string[] names)
    {
        Write("{}", [.. names.Select(name => Zeros($"{name}:BF16:{(name.EndsWith("norm.weight", StringComparison.Ordinal) ? "256" : "256,256")}"))]);
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(
            folder.Tensors.Select(tensor => tensor.Name),
            Is.EquivalentTo(["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"]));
    }

    [Test]
    public void ASecondEmbeddingIsRefused()
    {
        Write("{}", Zeros("model.embed_tokens.weight:BF16:256,256"), Zeros("embed_tokens.weight:BF16:256,256"));
        Assert.That(() => ModelFolder.Open(_folder["model"]), Throws.TypeOf<ModelFormatException>().With.Message.Contains("second embedding"));
    }

    [TestCase("""{"architectures": ["Qwen3ForCausalLM"], "tie_word_embeddings": false}""", true)]
    [TestCase("""{"architectures": ["Qwen3ForCausalLM"], "tie_word_embeddings": true}""", false)]
    [TestCase("""{"architectures": ["Qwen3Model"], "tie_word_embeddings": false}""", false)]
    [TestCase("""{"architectures": ["Qwen3ForCausalLM"]}""", false)]
    public void AHeadThatIsPromisedMustBeThere(string config, bool isMissing)
    {
        Write(config, Zeros("model.embed_tokens.weight:BF16:256,256"));
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(ModelVerifier.Verify(folder).Problems.Any(problem => problem.Contains("lm_head.weight is missing", StringComparison.Ordinal)), Is.EqualTo(isMissing));
        QuantizationPlan plan = QuantizationPlan.Uniform(folder, QuantCodec.Get(QuantFormat.Q4_K));
        Assert.That(
            () => ModelConverter.Convert(plan, _folder["out"]),
            isMissing ? Throws.TypeOf<ModelFormatException>().With.Message.Contains("lm_head.weight is missing") : Throws.Nothing);
    }

    [Test]
    public void DequantizingLeavesNoBytes()
    {
        Write(
            """{"quantization": {"mode": "kquant", "per_tensor": {"a": "q8_0"}}}""",
            Zeros("a.weight:U8:2,34"), Zeros("a.scales:U8:1"), Zeros("b.weight:U8:2,34"), Zeros("b.scales:U8:1"));
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        QuantizationPlan plan = QuantizationPlan.Dequantize(folder, QuantCodec.Get(QuantFormat.F32));
        Assert.That(
            () => ModelConverter.Convert(plan, _folder["out"]),
            Throws.TypeOf<NotSupportedException>().With.Message.Contains("'b.weight' is stored as bytes"));
    }

    [TestCase("nemotron_h", "backbone.layers.0.mixer.experts.{0}.up_proj.weight", "backbone.layers.0.mixer.switch_mlp.fc1.weight")]
    [TestCase("nemotron_h", "backbone.layers.0.mixer.experts.{0}.down_proj.weight", "backbone.layers.0.mixer.switch_mlp.fc2.weight")]
    [TestCase("dots1", "model.layers.1.mlp.experts.{0}.gate_proj.weight", "model.layers.1.mlp.experts.gate_proj.weight")]
    [TestCase("afmoe", "model.layers.2.mlp.experts.{0}.down_proj.weight", "model.layers.2.mlp.experts.down_proj.weight")]
    [TestCase("kimi_linear", "model.layers.1.block_sparse_moe.experts.{0}.w2.weight", "model.layers.1.mlp.switch_mlp.down_proj.weight")]
    [TestCase("mixtral", "model.layers.1.block_sparse_moe.experts.{0}.w2.weight", "model.layers.1.block_sparse_moe.switch_mlp.down_proj.weight")]
    public void StacksHaveTheNamesOfTheirClass(string type, string pattern, string expected)
    {
        Write(
            new JsonObject { ["model_type"] = type, ["num_experts"] = 2 }.ToJsonString(),
            [.. Enumerable.Range(0, 2).Select(expert => Zeros(pattern.Replace("{0}", $"{expert}", StringComparison.Ordinal) + ":BF16:256,256"))]);
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(folder.Tensors.Select(tensor => tensor.Name), Is.EqualTo([expected]));
        Assert.That(TensorRoles.Classify(expected), Is.EqualTo(TensorRole.RoutedExpert));
    }

    [TestCase("qwen3_moe", "mlp.experts.gate_up_proj", true)]
    [TestCase("granitemoe", "block_sparse_moe.input_linear.weight", true)]
    [TestCase("jetmoe", "mlp.experts.input_linear", false)]
    public void FusedExpertsAreSplitByTypeAndNotByShape(string type, string name, bool isSplit)
    {
        // Square, so that the shape tells nothing.
        Write(new JsonObject { ["model_type"] = type, ["hidden_size"] = 256 }.ToJsonString(), Zeros($"model.layers.0.{name}:BF16:2,256,256"));
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(folder.Tensors, Has.Count.EqualTo(isSplit ? 2 : 1));
        Assert.That(folder.Tensors.All(tensor => tensor.Name.Contains(".switch_mlp.", StringComparison.Ordinal)), Is.EqualTo(isSplit));
        if (!isSplit)
        {
            ConversionReport report = ModelConverter.Convert(QuantizationPlan.Uniform(folder, QuantCodec.Get(QuantFormat.Q4_K)), _folder["out"]);
            Assert.That(report.Notes, Has.Some.Contains("1 tensors, 100 % of the weights, stay bf16"));
        }
    }

    /// <summary>gpt-oss as it is published: mxfp4 in blocks of 16 bytes with codes 2i and 2i + 1, rows of gate and up in turns.</summary>
    [Test]
    public void ExpertsInBlocksAreGgmlBlocks()
    {
        const int Experts = 2, Rows = 6, Groups = 3;
        const string Name = "model.layers.0.mlp.experts.";
        var random = new Random(8);
        byte[] codes = new byte[Experts * Rows * Groups * 16], scales = new byte[Experts * Rows * Groups];
        random.NextBytes(codes);
        for (int i = 0; i < scales.Length; i++)
        {
            scales[i] = (byte)random.Next(110, 140);
        }

        Write(
            """{"model_type": "gpt_oss", "hidden_size": 96, "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}""",
            new Stored(Name + "gate_up_proj_blocks", ElementType.U8, [Experts, Rows, Groups, 16], codes),
            new Stored(Name + "gate_up_proj_scales", ElementType.U8, [Experts, Rows, Groups], scales),
            new Stored(Name + "down_proj_blocks", ElementType.U8, [Experts, Rows, Groups, 16], codes),
            new Stored(Name + "down_proj_scales", ElementType.U8, [Experts, Rows, Groups], scales));
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That((folder.QuantizationMode, folder.IsDecodable), Is.EqualTo(((string?)null, true)));
        foreach ((string leaf, int first, int step) in ((string, int, int)[])[("gate_proj", 0, 2), ("up_proj", 1, 2), ("down_proj", 0, 1)])
        {
            Assert.That(folder.TryGetTensor($"{Name}{leaf}.weight", out ModelTensor? tensor), leaf);
            Assert.That(tensor!.Shape, Is.EqualTo(new long[] { Experts, Rows / step, Groups * 32 }));
            float[] expected =
            [
                .. from expert in Enumerable.Range(0, Experts)
                   from row in Enumerable.Range(0, Rows / step)
                   from column in Enumerable.Range(0, Groups * 32)
                   select Value((((expert * Rows) + first + (row * step)) * Groups) + (column / 32), column % 32),
            ];
            float[] actual = new float[expected.Length], loaded = new float[expected.Length], some = new float[2 * Groups * 32];
            tensor.ReadRows(0, actual);
            tensor.ReadRows(1, some);
            using QuantizedTensor all = tensor.Load();
            for (int row = 0; row < all.Shape.TotalRows; row++)
            {
                all.DecodeRow(row, loaded.AsSpan(row * Groups * 32, Groups * 32));
            }

            byte[] whole = new byte[tensor.ByteCount], part = new byte[100];
            tensor.ReadBytes(0, whole);
            tensor.ReadBytes(37, part);
            Assert.Multiple(() =>
            {
                Assert.That(actual, Is.EqualTo(expected).AsCollection, leaf);
                Assert.That(loaded, Is.EqualTo(expected).AsCollection, leaf);
                Assert.That(some, Is.EqualTo(expected[(Groups * 32)..(3 * Groups * 32)]).AsCollection, leaf);
                Assert.That(part, Is.EqualTo(whole[37..137]).AsCollection, leaf);
            });
        }

        // The table of the format: sign, and 0, 0.5, 1, 1.5, 2, 3, 4, 6.
        float Value(int block, int i)
        {
            int code = i % 2 == 0 ? codes[(block * 16) + (i / 2)] & 15 : codes[(block * 16) + (i / 2)] >> 4;
            float magnitude = ((float[])[0, 0.5f, 1, 1.5f, 2, 3, 4, 6])[code & 7];
            return MathF.ScaleB(code >= 8 ? -magnitude : magnitude, scales[block] - 127);
        }
    }

    [TestCase("gate_up_proj_scales", new[] { 2, 6, 2 }, "mxfp4 experts are U8 [experts, out, groups, 16] with scales U8 [experts, out, groups], not U8 [2, 6, 3, 16] with U8 [2, 6, 2]")]
    [TestCase("other_scales", new[] { 2, 6, 3 }, "there are no scales (_scales) for these blocks")]
    public void ExpertsInBlocksWithoutTheirScalesAreRefused(string scales, int[] shape, string problem)
    {
        const string Name = "model.layers.0.mlp.experts.";
        Write(
            """{"model_type": "gpt_oss", "hidden_size": 96}""",
            new Stored(Name + "gate_up_proj_blocks", ElementType.U8, [2, 6, 3, 16], new byte[2 * 6 * 3 * 16]),
            new Stored(Name + scales, ElementType.U8, [.. shape.Select(dimension => (long)dimension)], new byte[shape.Aggregate(1, (a, b) => a * b)]));
        Assert.That(() => ModelFolder.Open(_folder["model"]), Throws.InstanceOf<ModelFormatException>().With.Message.Contains(problem));
    }

    /// <summary>[experts, in, out], gate and up side by side or one value of each in turn: split, transposed and quantized.</summary>
    [TestCase("llama4_text", "feed_forward.experts", "feed_forward.experts", false)]
    [TestCase("qwen3_vl_moe", "mlp.experts", "mlp.switch_mlp", false)]
    [TestCase("gpt_oss", "mlp.experts", "mlp.experts", true)]
    public void ExpertsStoredTheOtherWayRoundAreTransposed(string type, string stored, string expected, bool alternates)
    {
        // Square, so that the shape tells nothing; more rows than are read at once would be a larger test.
        const int Experts = 2, Width = 256;
        float[] gateUp = Values(Experts * Width * 2 * Width, 1), down = Values(Experts * Width * Width, 2), bias = Values(Experts * 2 * Width, 3);
        const string Layer = "model.layers.0.";
        Write(
            new JsonObject { ["model_type"] = type, ["hidden_size"] = Width }.ToJsonString(),
            new Stored($"{Layer}{stored}.gate_up_proj", ElementType.BF16, [Experts, Width, 2 * Width], Bytes(gateUp)),
            new Stored($"{Layer}{stored}.down_proj", ElementType.BF16, [Experts, Width, Width], Bytes(down)),
            new Stored($"{Layer}{stored}.gate_up_proj_bias", ElementType.BF16, [Experts, 2 * Width], Bytes(bias)));
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        foreach ((string leaf, int half) in (ReadOnlySpan<(string, int)>)[("gate_proj", 0), ("up_proj", 1)])
        {
            CheckTransposed(folder, $"{Layer}{expected}.{leaf}.weight", (expert, row, column) =>
                gateUp[(((expert * Width) + column) * 2 * Width) + (alternates ? (2 * row) + half : (half * Width) + row)]);
            if (alternates)
            {
                float[] values = new float[Experts * Width];
                Assert.That(folder.TryGetTensor($"{Layer}{expected}.{leaf}.bias", out ModelTensor? tensor));
                tensor!.ReadRows(0, values);
                Assert.That(values, Is.EqualTo(bias.Where((_, i) => i % 2 == half)).AsCollection);
            }
        }

        CheckTransposed(folder, $"{Layer}{expected}.down_proj.weight", (expert, row, column) => down[(((expert * Width) + column) * Width) + row]);
        ConversionReport report = ModelConverter.Convert(QuantizationPlan.Uniform(folder, QuantCodec.Get(QuantFormat.Q4_K)), _folder["out"]);
        Assert.That(report.Tensors.Count(tensor => tensor.Planned.Codec is not null), Is.EqualTo(3));
        Assert.That(report.Tensors.Where(tensor => tensor.Error is not null).Max(tensor => tensor.Error!.Value.Nmse), Is.LessThan(0.02));
    }

    /// <summary>dbrx: all experts one below the other, the last matrix used the other way round; mlx-lm keeps experts apart.</summary>
    [Test]
    public void ExpertsOneBelowTheOtherAreTakenApart()
    {
        const int Experts = 3, Inner = 256, Hidden = 512;
        float[] first = Values(Experts * Inner * Hidden, 4), second = Values(Experts * Inner * Hidden, 5);
        const string Block = "transformer.blocks.0.ffn.experts.";
        Write(
            """{"model_type": "dbrx", "ffn_config": {"moe_num_experts": 3}}""",
            new Stored(Block + "mlp.w1", ElementType.BF16, [Experts * Inner, Hidden], Bytes(first)),
            new Stored(Block + "mlp.w2", ElementType.BF16, [Experts * Inner, Hidden], Bytes(second)));
        using ModelFolder folder = ModelFolder.Open(_folder["model"]);
        Assert.That(
            folder.Tensors.Select(tensor => tensor.Name),
            Is.EqualTo(
                Enumerable.Range(0, 2 * Experts).Select(i => $"{Block}{i % Experts}.{(i < Experts ? "w1" : "w2")}.weight")));
        for (int expert = 0; expert < Experts; expert++)
        {
            int at = expert;
            CheckTransposed(folder, $"{Block}{expert}.w1.weight", (_, row, column) => first[(((at * Inner) + row) * Hidden) + column]);
            CheckTransposed(folder, $"{Block}{expert}.w2.weight", (_, row, column) => second[(((at * Inner) + column) * Hidden) + row]);
        }
    }

    private static float[] Values(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(BFloat16)(float)(random.NextDouble() - 0.5))];
    }

    private static byte[] Bytes(float[] values)
    {
        QuantCodec codec = QuantCodec.Get(QuantFormat.BF16);
        var bytes = new byte[codec.GetByteCount(values.Length)];
        codec.Encode(values, bytes);
        return bytes;
    }

    /// <summary>Rows, bytes from odd places and all of it in memory say the same.</summary>
    private static void CheckTransposed(ModelFolder folder, string name, Func<int, int, int, float> expected)
    {
        Assert.That(folder.TryGetTensor(name, out ModelTensor? tensor), name);
        QuantShape shape = tensor!.GetQuantShape();
        float[] values = [
            .. from expert in Enumerable.Range(0, (int)shape.Experts)
               from row in Enumerable.Range(0, (int)shape.Rows)
               from column in Enumerable.Range(0, shape.Columns)
               select expected(expert, row, column)];
        float[] rows = new float[values.Length];
        int some = (3 * shape.Columns) + (int)(shape.Rows / 2 * shape.Columns);
        tensor!.ReadRows(0, rows.AsSpan(0, some));
        tensor!.ReadRows(some / shape.Columns, rows.AsSpan(some));
        Assert.That(rows.AsSpan().SequenceEqual(values), Is.True, name);
        byte[] bytes = Bytes(values), read = new byte[bytes.Length];
        tensor.ReadBytes(0, read.AsSpan(0, 701));
        tensor.ReadBytes(701, read.AsSpan(701));
        Assert.That(read.AsSpan().SequenceEqual(bytes), Is.True, name);
        using QuantizedTensor loaded = tensor.Load();
        float[] decoded = new float[values.Length];
        for (int row = 0; row < shape.TotalRows; row++)
        {
            loaded!.DecodeRow(row, decoded.AsSpan(row * shape.Columns, shape.Columns));
        }

        Assert.That(decoded.AsSpan().SequenceEqual(values), Is.True, name);
    }

    [Test]
    public void AStaleIndexIsIgnoredWithANote()
    {
        Write("{}", Zeros("model.embed_tokens.weight:BF16:256,256"));
        _folder.Write("model/model.safetensors.index.json", """{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}""");
        using (ModelFolder folder = ModelFolder.Open(_folder["model"]))
        {
            ConversionReport report = ModelConverter.Convert(QuantizationPlan.Uniform(folder, QuantCodec.Get(QuantFormat.Q4_K)), _folder["out"]);
            Assert.That(report.Notes, Has.Some.Contains("model.safetensors.index.json is ignored"));
        }

        // As soon as one of its shards exists, it counts.
        File.Copy(_folder["model/model.safetensors"], _folder["model/model-00001-of-00002.safetensors"]);
        Assert.That(() => ModelFolder.Open(_folder["model"]), Throws.TypeOf<ModelFormatException>().With.Message.Contains("is missing"));
    }

    [TestCase("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "pointer of Git LFS")]
    [TestCase("<!doctype html>\n<html>", "web page")]
    [TestCase("\n  <!DOCTYPE html>", "web page")]
    [TestCase("<html><body>404", "web page")]
    [TestCase("<?xml version=\"1.0\"?><Error><Code>AccessDenied", "web page")]
    public void WhatDownloadsLeaveInPlaceOfWeightsIsNamed(string content, string message)
    {
        _folder.Write("model/config.json", "{}");
        foreach (string name in (string[])["model/model.safetensors", "a.safetensors", "a.gguf"])
        {
            string path = _folder.Write(name, content);
            Assert.That(
                () => ModelSource.Open(name.StartsWith("model/", StringComparison.Ordinal) ? _folder["model"] : path),
                Throws.TypeOf<ModelFormatException>().With.Message.Contains(message), name);
        }
    }

    private static float E4M3(byte code)
    {
        double magnitude = (code & 0x78) == 0 ? (code & 7) / 512.0 : (1 + ((code & 7) / 8.0)) * Math.Pow(2, ((code >> 3) & 15) - 7);
        return (float)(code < 128 ? magnitude : -magnitude);
    }

    private static long[] Shape(string text) => [.. text.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(long.Parse)];

    /// <summary>A tensor of zeros from <c>NAME:TYPE:SHAPE</c>.</summary>
    private static Stored Zeros(string description)
    {
        string[] parts = description.Split(':');
        ElementType type = Enum.Parse<ElementType>(parts[1]);
        long[] shape = Shape(parts[2]);
        return new Stored(parts[0], type, shape, new byte[shape.Aggregate(1L, (a, b) => a * b) * type.GetBits() / 8]);
    }

    private void Write(string config, params Stored[] tensors)
    {
        var writer = new SafetensorsWriter();
        foreach (Stored tensor in tensors)
        {
            writer.Add(tensor.Name, tensor.Type, tensor.Shape, tensor.Bytes);
        }

        _folder.Write("model/config.json", config);
        writer.Write(_folder["model/model.safetensors"]);
    }

    private sealed record Stored(string Name, ElementType Type, long[] Shape, byte[] Bytes);
}
