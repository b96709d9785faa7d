using System.Runtime.InteropServices;
using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;
using KQuant.Models.Adapters;
using KQuant.Models.Computing;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Adapters;

/// <summary>Models with adapters: the losses of another implementation, and what must be the same however an adapter comes to a model.</summary>
public class AdaptedModelTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(9);

    private readonly TemporaryFolder _folder = new();
    private readonly RandomModels _models = new();

    [OneTimeTearDown]
    public void TearDown()
    {
        _models.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void LossesAreThoseOfAnotherImplementation(
        [Values("init", "after5.b_zero", "after5.b_nonzero")] string state, [Values("mlx", "peft", "gguf")] string format)
    {
        JsonElement reference = JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("reference", "lora-tiny-dense.json"))).RootElement;
        double expected = state == "init"
            ? reference.GetProperty("b_nonzero").GetProperty("loss_float64").GetDouble()
            : reference.GetProperty(state[7..]).GetProperty("adam_losses")[5].GetDouble();
        string path = TestAdapter.Reference(state).Write(format, _folder, "qwen3", state);
        ModelKind kind = format == "gguf" ? ModelKind.Gguf : ModelKind.HuggingFace;
        using var floats = new TemporaryFolder();
        using LanguageModel model = Load(ModelKinds.WriteFloats("tiny-dense", kind, floats), path);
        Assert.That(Loss(model), Is.EqualTo(expected).Within(2e-6));
    }

    [Test]
    public void ThreadsChangeNoBit()
    {
        string path = TestAdapter.Reference("after5.b_nonzero").WritePeft(_folder["threads"]);
        string base4 = ModelKinds.WriteQuantized("tiny-dense", ModelKind.Mlx, QuantFormat.Q4_K, _folder);
        float[]? first = null;
        foreach (int threads in (int[])[1, 2, 5])
        {
            using LanguageModel model = Load(base4, path, matmul: new MatmulOptions { MaxDegreeOfParallelism = threads });
            float[] logits = Logits(model, Prompt);
            first ??= logits;
            Assert.That(Numbers.Bits(logits), Is.EqualTo(Numbers.Bits(first)), $"{threads} threads");
        }

        using var plain = LanguageModel.Load(base4);
        Assert.That(Numbers.Nmse(Logits(plain, Prompt), first!), Is.GreaterThan(1e-6));
    }

    [Test]
    public void ScalesMultiplyAndAdaptersAddUp()
    {
        var whole = TestAdapter.Reference("after5.b_nonzero");
        TestAdapter queries = Part("q_proj"), values = Part("v_proj");
        var doubled = new TestAdapter { Scale = 1 };
        foreach ((string module, TestAdapter.Term term) in whole.Terms)
        {
            doubled.Terms[module] = term with { B = [.. term.B.Select(value => 4 * value)] };
        }

        string folder = RepositoryFiles.Fixture("models", "tiny-dense");
        LoraAdapter all = LoraAdapter.Load(whole.WriteMlx(_folder["all"]));
        float[] expected = Run(new AppliedAdapter { Adapter = all });
        Assert.That(
            Run(new AppliedAdapter { Adapter = LoraAdapter.Load(doubled.WriteMlx(_folder["doubled"])), Scale = 0.5f }), Is.EqualTo(expected), "powers of two");
        Assert.That(
            Run(new AppliedAdapter { Adapter = LoraAdapter.Load(queries.WriteMlx(_folder["q"])) }, new AppliedAdapter { Adapter = LoraAdapter.Load(values.WritePeft(_folder["v"])) }),
            Is.EqualTo(expected));
        Assert.That(Run(new AppliedAdapter { Adapter = all, Scale = 0 }), Is.EqualTo(Run()));
        Assert.That(Numbers.Nmse(Run(new AppliedAdapter { Adapter = all, Scale = -1 }), Run()), Is.GreaterThan(1e-6));

        float[] Run(params AppliedAdapter[] adapters)
        {
            using var model = LanguageModel.Load(folder, new ModelOptions { Adapters = adapters, LoadTokenizer = false });
            return Logits(model, Prompt);
        }

        TestAdapter Part(string projection)
        {
            var part = new TestAdapter();
            foreach ((string module, TestAdapter.Term term) in whole.Terms.Where(term => term.Key.EndsWith(projection, StringComparison.Ordinal)))
            {
                part.Terms[module] = term;
            }

            return part;
        }
    }

    [Test]
    public void RotatedRowsFollowTheFile()
    {
        // GGUF files of llama have the rows of q and k in another order; adapters of either kind fit either model.
        string checkpoint = RandomCheckpoint.Create("llama3").Write(_folder["llama3"]);
        string gguf = ModelKinds.Convert(checkpoint, ModelKind.Gguf, _folder["llama3-base"], model => Codecs.Recipes.QuantizationPlan.Dequantize(
            model, QuantCodec.Get(QuantFormat.BF16), allFloats: false));
        using var plain = LanguageModel.Load(checkpoint, new ModelOptions { LoadTokenizer = false });
        ModelConfig config = plain.Config;
        int half = config.HeadSize / 2;
        TestAdapter inCheckpoint = TestAdapter.Random(
            4, ("model.layers.0.self_attn.q_proj", config.HeadCount * config.HeadSize, config.HiddenSize),
            ("model.layers.1.self_attn.k_proj", config.KeyValueHeadCount * config.HeadSize, config.HiddenSize)), inGguf = new();
        foreach ((string module, TestAdapter.Term term) in inCheckpoint.Terms)
        {
            float[] b = new float[term.B.Length];
            for (int row = 0; row < term.Outputs; row++)
            {
                int head = row / config.HeadSize, at = row % config.HeadSize;
                int target = (head * config.HeadSize) + (at < half ? 2 * at : (2 * (at - half)) + 1);
                term.B.AsSpan(row * term.Rank, term.Rank).CopyTo(b.AsSpan(target * term.Rank));
            }

            inGguf.Terms[module] = term with { B = b };
        }

        string peft = inCheckpoint.WritePeft(_folder["rows"]), lora = inGguf.WriteGguf(_folder["rows.gguf"], "llama");
        float[] expected = Adapted(checkpoint, peft);
        Assert.That(Numbers.Nmse(expected, Logits(plain, Prompt)), Is.GreaterThan(1e-4));
        Assert.That(Adapted(checkpoint, lora), Is.EqualTo(expected));
        Assert.That(Adapted(gguf, peft), Is.EqualTo(Adapted(gguf, lora)));
        Assert.That(Numbers.Nmse(Adapted(gguf, lora), expected), Is.LessThan(1e-9));
    }

    [Test]
    public void PartsOfFusedWeightsHaveTheirRows()
    {
        using LanguageModel plain = _models.Load("phi3");
        ModelConfig config = plain.Config;
        int queries = config.HeadCount * config.HeadSize, keys = config.KeyValueHeadCount * config.HeadSize, all = queries + (2 * keys);
        TestAdapter fused = TestAdapter.Random(4, ("model.layers.0.self_attn.qkv_proj", all, config.HiddenSize)), parts = new();
        TestAdapter.Term term = fused.Terms.Single().Value;
        parts.Terms["model.layers.0.self_attn.q_proj"] = term with { B = term.B[..(queries * 4)] };
        parts.Terms["model.layers.0.self_attn.k_proj"] = term with { B = term.B[(queries * 4)..((queries + keys) * 4)] };
        parts.Terms["model.layers.0.self_attn.v_proj"] = term with { B = term.B[((queries + keys) * 4)..] };
        using LanguageModel one = _models.Load("phi3", Options(fused.WritePeft(_folder["fused"]))), three = _models.Load("phi3", Options(parts.WritePeft(_folder["parts"])));
        Assert.That(Logits(one, Prompt), Is.EqualTo(Logits(three, Prompt)));
        Assert.That(Numbers.Nmse(Logits(one, Prompt), Logits(plain, Prompt)), Is.GreaterThan(1e-5));
    }

    [Test]
    public void StacksAndSingleExpertsAreTheSame()
    {
        string folder = RepositoryFiles.Fixture("models", "tiny-moe");
        TestAdapter single = TestAdapter.Random(2, [.. Enumerable.Range(0, 8).Select(expert => ($"model.layers.1.mlp.experts.{expert}.down_proj", 256, 256))]);
        string mlx = single.WriteMlx(_folder["moe"]);
        TestAdapter.WriteTensors(
            mlx, "adapters.safetensors",
            ("model.layers.1.mlp.switch_mlp.down_proj.lora_a", [8, 2, 256], [.. single.Terms.Values.SelectMany(term => term.A)]),
            ("model.layers.1.mlp.switch_mlp.down_proj.lora_b", [8, 256, 2], [.. single.Terms.Values.SelectMany(term => term.B)]));
        using LanguageModel stack = Load(folder, mlx), experts = Load(folder, single.WritePeft(_folder["single"]));
        using var plain = LanguageModel.Load(folder);
        Assert.That(Logits(stack, Prompt), Is.EqualTo(Logits(experts, Prompt)));
        Assert.That(Numbers.Nmse(Logits(stack, Prompt), Logits(plain, Prompt)), Is.GreaterThan(1e-6));

        TestAdapter few = TestAdapter.Random(2, [.. Enumerable.Range(0, 3).Select(expert => ($"model.layers.1.mlp.experts.{expert}.down_proj", 256, 256))]);
        Assert.That(
            () => Load(folder, few.WritePeft(_folder["few"])),
            Throws.InstanceOf<ModelFormatException>().With.Message.Contains("[3, 256, 256]").And.Message.Contains("[8, 256, 256]"));
    }

    [Test]
    public void ATiedEmbeddingIsAdaptedInBothPlacesByMlxAlone()
    {
        string folder = RepositoryFiles.Fixture("models", "tiny-dense");
        TestAdapter adapter = TestAdapter.Random(2, ("model.embed_tokens", 2048, 256));
        using LanguageModel both = Load(folder, adapter.WriteMlx(_folder["tied-mlx"])), lookup = Load(folder, adapter.WritePeft(_folder["tied-peft"]));
        using LanguageModel gguf = Load(folder, adapter.WriteGguf(_folder["tied.gguf"], "qwen3"));
        using var plain = LanguageModel.Load(folder);
        float[] hidden = Hidden(both);
        Assert.That(Hidden(lookup), Is.EqualTo(hidden));
        Assert.That(Numbers.Nmse(hidden, Hidden(plain)), Is.GreaterThan(1e-6));
        float[] expected = Logits(lookup, Prompt);
        Assert.That(Logits(gguf, Prompt), Is.EqualTo(expected));
        TestAdapter.Term term = adapter.Terms.Single().Value;
        for (int token = 0; token < 2048; token++)
        {
            for (int k = 0; k < term.Rank; k++)
            {
                expected[token] += 2 * term.B[(token * 2) + k] * Dot(term.A.AsSpan(k * 256, 256), hidden.AsSpan(^256..));
            }
        }

        Assert.That(Logits(both, Prompt), Is.EqualTo(expected).Within(1e-4));

        static float[] Hidden(LanguageModel model)
        {
            using KeyValueCache cache = model.CreateCache();
            var hidden = new float[Prompt.Length * 256];
            model.ForwardHidden(Prompt, cache, hidden);
            return hidden;
        }

        static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
        {
            double sum = 0;
            for (int i = 0; i < x.Length; i++)
            {
                sum += (double)x[i] * y[i];
            }

            return (float)sum;
        }
    }

    [Test]
    public void DoraStretchesRowsBeforeTheBias()
    {
        // qwen2 has biases. Lengths of twice those of the rows with the term double everything but the bias.
        using LanguageModel plain = _models.Load("qwen2");
        ModelConfig config = plain.Config;
        int outputs = config.KeyValueHeadCount * config.HeadSize, inputs = config.HiddenSize;
        const string module = "model.layers.0.self_attn.v_proj";
        using var file = SafetensorsFile.Open(Path.Combine(plain.Path, "model.safetensors"));
        float[] w = new float[outputs * inputs], bias = new float[outputs];
        for (int row = 0; row < outputs; row++)
        {
            file.GetTensor(module + ".weight").DecodeRow(row, w.AsSpan(row * inputs, inputs));
        }

        file.GetTensor(module + ".bias").DecodeRow(0, bias);
        TestAdapter adapter = TestAdapter.Random(3, (module, outputs, inputs));
        TestAdapter.Term term = adapter.Terms.Single().Value;
        var lengths = new float[outputs];
        var expected = new double[outputs * inputs];
        for (int row = 0; row < outputs; row++)
        {
            double sum = 0;
            for (int column = 0; column < inputs; column++)
            {
                double value = w[(row * inputs) + column];
                for (int k = 0; k < 3; k++)
                {
                    value += 2.0 * term.B[(row * 3) + k] * term.A[(k * inputs) + column];
                }

                sum += value * value;
                expected[(row * inputs) + column] = value;
            }

            lengths[row] = (float)(Math.Sqrt(sum) * (1 + (row % 3)));
            for (int column = 0; column < inputs; column++)
            {
                expected[(row * inputs) + column] *= 1 + (row % 3);
            }
        }

        adapter.WritePeft(_folder["dora"], """, "use_dora": true""");
        TestAdapter.WriteTensors(
            _folder["dora"], "adapter_model.safetensors", ($"base_model.model.{module}.lora_A.weight", [3, inputs], term.A),
            ($"base_model.model.{module}.lora_B.weight", [outputs, 3], term.B), ($"base_model.model.{module}.lora_magnitude_vector", [outputs], lengths));
        using LanguageModel adapted = _models.Load("qwen2", Options(_folder["dora"]));
        Transformers.LayerActivations[] kept = [.. Enumerable.Range(0, config.LayerCount).Select(_ => new Transformers.LayerActivations(keepsAll: true))];
        adapted.Runner.KeepActivations(kept);
        _ = Logits(adapted, Prompt);
        unsafe
        {
            for (int row = 0; row < outputs; row++)
            {
                double sum = bias[row];
                for (int column = 0; column < inputs; column++)
                {
                    sum += expected[(row * inputs) + column] * kept[0].AttentionInput.Pointer[column];
                }

                Assert.That(kept[0].Values.Pointer[row], Is.EqualTo(sum).Within(1e-3).Percent.Or.EqualTo(sum).Within(1e-4), $"row {row}");
            }
        }

        adapted.Runner.KeepActivations(null);
        Array.ForEach(kept, set => set.Dispose());
    }

    [Test]
    public void AdaptersOfOtherModelsAreRefused()
    {
        string folder = RepositoryFiles.Fixture("models", "tiny-dense");
        Refuse(TestAdapter.Random(2, ("model.layers.9.self_attn.q_proj", 256, 256)), "model.layers.9.self_attn.q_proj.weight", "no such weight");
        Refuse(TestAdapter.Random(2, ("model.layers.0.self_attn.k_proj", 256, 256)), "[256, 256]", "[128, 256]");
        Refuse(TestAdapter.Random(2, ("model.layers.0.input_layernorm", 256, 1)), "no such weight");
        Assert.That(
            () => Load(folder, TestAdapter.Random(2, ("model.layers.0.self_attn.q_proj", 256, 256)).WriteGguf(_folder["llama.gguf"], "llama")),
            Throws.InstanceOf<ModelFormatException>().With.Message.Contains("'llama'").And.Message.Contains("'qwen3'"));
        Assert.That(() => new AppliedAdapter { Adapter = null!, Scale = float.NaN }, Throws.InstanceOf<ArgumentOutOfRangeException>());

        void Refuse(TestAdapter adapter, params string[] parts)
        {
            string path = adapter.WritePeft(_folder["bad" + parts[0].GetHashCode(StringComparison.Ordinal)]);
            ModelFormatException? exception = Assert.Throws<ModelFormatException>(() => Load(folder, path));
            foreach (string part in parts)
            {
                Assert.That(exception!.Message, Does.Contain(part));
            }
        }
    }

    [Test]
    public void CachesBelongToTheModelWithItsAdapters()
    {
        string folder = RepositoryFiles.Fixture("models", "tiny-dense"), adapter = TestAdapter.Reference("init").WriteMlx(_folder["cached"]);
        using LanguageModel adapted = Load(folder, adapter), again = Load(folder, adapter);
        using var plain = LanguageModel.Load(folder);
        using KeyValueCache cache = adapted.CreateCache();
        adapted.Forward(Prompt, cache, default);
        cache.Save(_folder["cache.bin"]);
        Assert.That(() => again.LoadCache(_folder["cache.bin"]).Dispose(), Throws.Nothing);
        Assert.That(() => plain.LoadCache(_folder["cache.bin"]), Throws.InstanceOf<ModelFormatException>());
    }

    private static ModelOptions Options(string adapter, MatmulOptions? matmul = null) => new()
    {
        Adapters = [new AppliedAdapter { Adapter = LoraAdapter.Load(adapter) }],
        LoadTokenizer = false,
        Matmul = matmul,
    };

    private static LanguageModel Load(string path, string adapter, MatmulOptions? matmul = null) => LanguageModel.Load(path, Options(adapter, matmul));

    private static float[] Adapted(string path, string adapter)
    {
        using LanguageModel model = Load(path, adapter);
        return Logits(model, Prompt);
    }

    private static float[] Logits(LanguageModel model, ReadOnlySpan<int> tokens)
    {
        using KeyValueCache cache = model.CreateCache();
        return RandomModels.Logits(model, cache, tokens);
    }

    /// <summary>As the reference defines it: the mean over all rows and all tokens but the first of each.</summary>
    private static double Loss(LanguageModel model)
    {
        using var file = SafetensorsFile.Open(RepositoryFiles.Fixture("reference", "lora-tiny-dense.safetensors"));
        Assert.That(file.TryGet("batch.input_ids", out SafetensorsTensor? batch));
        ReadOnlySpan<long> ids = MemoryMarshal.Cast<byte, long>(batch!.UnsafeGetBytes(0, (int)batch.ByteCount));
        int rows = (int)batch.Shape[0], length = (int)batch.Shape[1], vocabulary = model.Config.VocabularySize;
        double sum = 0;
        var logits = new float[length * vocabulary];
        for (int row = 0; row < rows; row++)
        {
            int[] tokens = [.. ids.Slice(row * length, length).ToArray().Select(id => (int)id)];
            using KeyValueCache cache = model.CreateCache();
            model.Forward(tokens, cache, logits);
            for (int t = 0; t + 1 < length; t++)
            {
                Span<float> scores = logits.AsSpan(t * vocabulary, vocabulary);
                LogSoftmax.Compute(scores, scores);
                sum -= scores[tokens[t + 1]];
            }
        }

        return sum / (rows * (length - 1));
    }
}
