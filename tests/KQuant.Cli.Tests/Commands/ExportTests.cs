using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>A checkpoint folder to a GGUF file: <c>kquant quantize --format gguf</c> and what goes with it.</summary>
public class ExportTests
{
    private const string Down = "blk.0.ffn_down_exps.weight";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void TheNameOrTheFormatAsksForAGguf()
    {
        Cli.Quantize(TestModels.TinyMoe, "q4_k", _folder["a.gguf"]).MustSucceed();
        Cli.Quantize(TestModels.TinyMoe, "q4_k", _folder["b"], "--format", "gguf").MustSucceed();
        Assert.That(File.ReadAllBytes(_folder["a.gguf"]).AsSpan().SequenceEqual(File.ReadAllBytes(_folder["b"])));
        using GgufFile file = GgufFile.Open(_folder["a.gguf"]);
        Assert.Multiple(() =>
        {
            Assert.That(file.Metadata.Architecture, Is.EqualTo("qwen3moe"));
            Assert.That(file.Metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.Q4_K_M));
            Assert.That(file.TryGet(Down, out GgufTensor? stack) && stack.TypeName == "q4_k" && stack.Dimensions.Length == 3);
            Assert.That(file.TryGet("blk.2.ffn_gate_inp.weight", out GgufTensor? router) && router.TypeName == "f32");
            Assert.That(file.TryGet("output.weight", out _), Is.False);
        });
    }

    [TestCase("q8_0")]
    [TestCase("bf16")]
    [TestCase("f16")]
    public void WhatIsWrittenIsVerifiedAgainstTheFolder(string type)
    {
        Cli.Quantize(TestModels.TinyDense, type, _folder["x.gguf"]).MustSucceed();
        Cli.Verify(_folder["x.gguf"], "--against", TestModels.TinyDense).MustSucceed();
        Cli.Verify(_folder["x.gguf"], "--against", TestModels.TinyMoe).MustFail("problems; the first: ");
    }

    [Test]
    public void AQuantizedCheckpointKeepsItsBlocks()
    {
        string checkpoint = RandomCheckpoint.Create("mistral").Write(_folder["float"]);
        Cli.Quantize(checkpoint, "q5_k", _folder["mlx"]).MustSucceed();
        Cli.Quantize(checkpoint, "q5_k", _folder["direct.gguf"]).MustSucceed();
        string[] convert = ["quantize", "--model", _folder["mlx"], "--output", _folder["kept.gguf"]];
        Cli.Run([.. convert, "--kquant-type", "q4_0"]).MustFail("is already quantized (mode 'kquant': 16 q5_k tensors); --allow-requantize encodes it again, without");
        JsonElement report = Cli.Run([.. convert, "--json"]).MustSucceed().Json;
        using GgufFile direct = GgufFile.Open(_folder["direct.gguf"]), kept = GgufFile.Open(_folder["kept.gguf"]);
        Assert.Multiple(() =>
        {
            Assert.That(report.Text("codec"), Is.EqualTo("q5_k"));
            Assert.That(kept.Metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.Q5_K_M));
            foreach (GgufTensor tensor in direct.Tensors)
            {
                Assert.That(kept.TryGet(tensor.Name, out GgufTensor? other) && other.TypeName == tensor.TypeName, tensor.Name);
                Assert.That(other!.UnsafeGetBytes().SequenceEqual(tensor.UnsafeGetBytes()), tensor.Name);
            }
        });

        Cli.Dequantize(_folder["mlx"], _folder["f32.gguf"]).MustSucceed();
        using GgufFile floats = GgufFile.Open(_folder["f32.gguf"]);
        Assert.That(floats.Tensors.Select(tensor => tensor.TypeName), Is.All.EqualTo("f32"));
    }

    [Test]
    public void AFloatCheckpointKeepsItsFormatToo()
    {
        Cli.Run("quantize", "--model", TestModels.TinyDense, "--output", _folder["x.gguf"]).MustSucceed();
        using GgufFile file = GgufFile.Open(_folder["x.gguf"]);
        Assert.Multiple(() =>
        {
            Assert.That(file.Metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.BF16));
            Assert.That(file.Tensors.Select(tensor => tensor.TypeName).Distinct(), Is.EquivalentTo(["f32", "bf16"]));
        });
        Cli.Run("quantize", "--model", _folder["x.gguf"], "--output", _folder["y.gguf"]).MustFail("--preset or --kquant-type is missing");
        Cli.Run("quantize", "--model", TestModels.TinyDense, "--output", _folder["y"]).MustFail("'--kquant-type' or '--preset' is required", exitCode: 2);
    }

    [TestCase(Down)]
    [TestCase("model.layers.0.mlp.switch_mlp.down_proj.weight")]
    [TestCase("model.layers.0.mlp.switch_mlp.down_proj")]
    public void ImportanceHasEitherName(string entry)
    {
        const int Experts = 8, Columns = 256;
        using var matrix = new ImportanceMatrix();
        float[] importance = [.. Enumerable.Range(0, Experts * Columns).Select(i => 0.01f + (i * 7919 % 1000 / 100f))];
        matrix.Add(new ImportanceEntry(entry, importance, [.. Enumerable.Repeat(1L, Experts)]));
        matrix.Write(_folder["imatrix.gguf"], ImportanceFormat.Gguf);
        JsonElement report = Cli.Quantize(TestModels.TinyMoe, "q3_k", _folder["x.gguf"], "--imatrix", _folder["imatrix.gguf"], "--json").MustSucceed().Json;
        QuantCodec codec = QuantCodec.Get(QuantFormat.Q3_K);
        float[] weights = FixtureModel.Load("tiny-moe").Weights("model.layers.0.mlp.experts.5.down_proj.weight");
        var bytes = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, bytes, new EncodeOptions { RowLength = Columns, Importance = importance.AsSpan(5 * Columns, Columns) });
        using GgufFile file = GgufFile.Open(_folder["x.gguf"]);
        Assert.Multiple(() =>
        {
            Assert.That(report.GetProperty("importance").Int("covered_weights"), Is.EqualTo(1));
            Assert.That(file.TryGet(Down, out GgufTensor? stack));
            Assert.That(stack!.UnsafeGetBytes(5L * bytes.Length, bytes.Length).SequenceEqual(bytes));
            Assert.That(file.Metadata.Get<string>("quantize.imatrix.file"), Is.EqualTo("imatrix.gguf"));
        });
    }

    [Test]
    public void ADryRunWritesNothingAndSaysWhatAGgufCannotHold()
    {
        var checkpoint = RandomCheckpoint.Create("mistral");
        checkpoint.Config["sliding_window"] = 64;
        string model = checkpoint.Write(_folder["model"]);
        string output = Cli.Quantize(model, "q4_0", _folder["x.gguf"], "--dry-run").MustSucceed().Output;
        Assert.Multiple(() =>
        {
            Assert.That(output, Does.Contain("blk.1.attn_k.weight").And.Contain("Norm stays f32"));
            Assert.That(output, Does.Contain("llama.cpp knows no sliding window for this architecture: beyond 64 tokens"));
            Assert.That(File.Exists(_folder["x.gguf"]), Is.False);
        });
    }

    [TestCase("qwen3", "model_type", "\"olmo\"", "model type 'olmo' cannot become a GGUF here; the types are llama, mistral, ")]
    [TestCase("qwen3", "hidden_act", "\"gelu\"", "'hidden_act' is 'gelu', which is not supported; known are silu")]
    [TestCase("qwen3", "num_attention_heads", "null", "the required key 'num_attention_heads' is missing")]
    [TestCase("qwen3", "num_attention_heads", "-4", "'num_attention_heads' is -4 and should be a whole number above 0")]
    [TestCase("qwen3", "num_attention_heads", "\"four\"", "num_attention_heads")]
    [TestCase("qwen3", "hidden_size", "1099511627776", "'hidden_size' is 1099511627776 and should be a whole number above 0")]
    [TestCase("qwen3", "head_dim", "2147483647", "makes 2147483647 of 2147483647 values rotate, which is no even number of them")]
    [TestCase("qwen3", "num_hidden_layers", "2147483647", "'num_hidden_layers' is 2147483647; at most 10000 layers are taken")]
    [TestCase("qwen3", "num_hidden_layers", "600", "'num_hidden_layers' is 600; llama.cpp reads at most 512")]
    [TestCase("gemma2", "attn_logit_softcapping", "null", "attn_logit_softcapping is 0 or null, which means no bound")]
    [TestCase("llama", "rms_norm_eps", "\"1e-5\"", "'rms_norm_eps' is \"1e-5\" and should be a number")]
    [TestCase("qwen3-moe", "num_experts", "1000000", "4 experts are stored, but the config has 1000000")]
    [TestCase("qwen3", "rope_scaling", """{"rope_type":"yarn"}""", "factor")]
    [TestCase("qwen3", "use_bidirectional_attention", "true", "'use_bidirectional_attention' is 'true', which is not supported; known are false")]
    [TestCase("qwen3", "num_hidden_layers", "1", "tensor 'model.layers.1.input_layernorm.weight' has no place in a GGUF")]
    [TestCase("qwen3", "num_hidden_layers", "3", "the checkpoint has no tensor for 'blk.2.attn_norm.weight'")]
    [TestCase("qwen3", "num_key_value_heads", "3", "'num_attention_heads' 4 is no multiple of 'num_key_value_heads' 3")]
    [TestCase("qwen3", "head_dim", "64", "the dimensions are [512, 256], but config.json makes them [256, 256]")]
    [TestCase("qwen3", "rope_scaling", """{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4}""", "rope scaling 'llama3' is not possible for architecture 'qwen3'")]
    [TestCase("qwen3-moe", "norm_topk_prob", "false", "norm_topk_prob is not true")]
    [TestCase("qwen3-moe", "mlp_only_layers", "[0]", "some of its layers are dense")]
    [TestCase("gemma2", "query_pre_attn_scalar", "256", "query_pre_attn_scalar is 256, but llama.cpp assumes 64")]
    [TestCase("phi3-longrope", "rope_scaling", """{"type":"longrope","long_factor":[1]}""", "'short_factor' is null and should be a list of numbers")]
    public void WhatLlamaCppWouldNotLoadOrComputeIsRefusedInOneSentence(string checkpoint, string key, string value, string message)
    {
        var model = RandomCheckpoint.Create(checkpoint);
        model.Config[key] = JsonNode.Parse(value);
        Cli.Quantize(model.Write(_folder["model"]), "q4_0", _folder["x.gguf"]).MustFail(message);
        Assert.That(File.Exists(_folder["x.gguf"]), Is.False);
    }

    [Test]
    public void APreTokenizerNobodyKnowsIsNamedByHand()
    {
        string model = RandomCheckpoint.Create("qwen3").Write(_folder["model"]);
        string path = Path.Combine(model, "tokenizer.json");
        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(path))!;
        tokenizer["pre_tokenizer"]!["pretokenizers"]![0]!["pattern"] = new JsonObject { ["Regex"] = @"\w+|\W+" };
        File.WriteAllText(path, tokenizer.ToJsonString());
        Cli.Quantize(model, "q4_0", _folder["x.gguf"]).MustFail(@"by the pattern '\w+|\W+");
        Cli.Quantize(model, "q4_0", _folder["x.gguf"], "--pre-tokenizer", "qwen2").MustSucceed();
        using GgufFile file = GgufFile.Open(_folder["x.gguf"]);
        Assert.That(file.Metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo("qwen2"));
    }
}
