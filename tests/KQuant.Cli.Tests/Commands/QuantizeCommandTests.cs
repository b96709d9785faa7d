using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant quantize</c> from folder to folder.</summary>
public class QuantizeCommandTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("tiny-dense", QuantFormat.Q4_K)]
    [TestCase("tiny-moe", QuantFormat.Q6_K)]
    public void WritesExactlyTheCheckpointOfTheLayout(string model, QuantFormat format)
    {
        QuantCodec codec = QuantCodec.Get(format);
        string source = RepositoryFiles.Fixture("models", model);
        Cli.Quantize(source, codec.Name, _folder["out"]).MustSucceed();

        var expected = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var modules = new List<string>();
        using ModelFolder original = ModelFolder.Open(source);
        foreach (ModelTensor tensor in original.Tensors)
        {
            bool quantized = tensor.Shape.Length > 1 && !tensor.Name.EndsWith("mlp.gate.weight", StringComparison.Ordinal);
            if (quantized)
            {
                string module = tensor.Name[..^".weight".Length];
                modules.Add(module);
                expected.Add(tensor.Name, $"U8 [{string.Join(", ", [.. tensor.Shape[..^1], codec.GetByteCount(tensor.Shape[^1])])}]");
                expected.Add(module + ".scales", "U8 [1]");
            }
            else
            {
                expected.Add(tensor.Name, $"BF16 [{string.Join(", ", tensor.Shape)}]");
            }
        }

        using SafetensorsFile written = SafetensorsFile.Open(_folder["out/model.safetensors"]);
        JsonNode config = JsonNode.Parse(File.ReadAllText(_folder["out/config.json"]))!;
        JsonNode index = JsonNode.Parse(File.ReadAllText(_folder["out/model.safetensors.index.json"]))!;
        Assert.Multiple(() =>
        {
            Assert.That(modules, Has.Count.EqualTo(model == "tiny-dense" ? 43 : 22));
            Assert.That(
                written.Tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal)
                    .Select(tensor => $"{tensor.Name} {tensor.ElementType} [{string.Join(", ", tensor.Shape)}]"),
                Is.EqualTo(expected.Select(pair => $"{pair.Key} {pair.Value}")));
            Assert.That(written.Metadata, Is.EqualTo(new Dictionary<string, string> { ["format"] = "mlx" }));
            foreach (string key in (string[])["quantization", "quantization_config"])
            {
                Assert.That(config[key]!["mode"]!.GetValue<string>(), Is.EqualTo("kquant"));
                Assert.That(config[key]!.AsObject().Select(pair => pair.Key), Is.EqualTo(["mode", "per_tensor"]));
                Assert.That(
                    config[key]!["per_tensor"]!.AsObject().Select(pair => (pair.Key, pair.Value!.GetValue<string>())),
                    Is.EquivalentTo(modules.Select(module => (module, codec.Name))));
            }

            Assert.That(
                index["weight_map"]!.AsObject().Select(pair => (pair.Key, pair.Value!.GetValue<string>())),
                Is.EqualTo(expected.Keys.Select(name => (name, "model.safetensors"))));
            Assert.That(index["metadata"]!["total_size"]!.GetValue<long>(), Is.EqualTo(written.Tensors.Sum(tensor => tensor.ByteCount)));
            Assert.That(
                index["metadata"]!["total_parameters"]!.GetValue<long>(),
                Is.EqualTo(original.Tensors.Sum(tensor => tensor.GetWeightCount())));
            Assert.That(_folder.Files("out"), Is.EquivalentTo(
            [
                "config.json", "generation_config.json", "merges.txt", "model.safetensors", "model.safetensors.index.json",
                "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json",
            ]));
            Assert.That(File.ReadAllBytes(_folder["out/tokenizer.json"]), Is.EqualTo(File.ReadAllBytes(Path.Combine(source, "tokenizer.json"))));
        });
    }

    [TestCaseSource(typeof(TestCodecs), nameof(TestCodecs.CheckpointBlocks))]
    public void EncodesTheBytesOfTheLibrary(QuantCodec codec)
    {
        Cli.Quantize(TestModels.TinyMoe, codec.Name, _folder["out"]).MustSucceed();
        FixtureModel source = FixtureModel.Load("tiny-moe");
        using SafetensorsFile written = SafetensorsFile.Open(_folder["out"]);
        foreach ((string name, string stored, int expert) in ((string, string, int)[])
            [
                ("model.layers.1.self_attn.v_proj.weight", "model.layers.1.self_attn.v_proj.weight", 0),
                ("model.layers.2.mlp.switch_mlp.up_proj.weight", "model.layers.2.mlp.experts.5.up_proj.weight", 5),
            ])
        {
            float[] weights = source.Weights(stored);
            var bytes = new byte[codec.GetByteCount(weights.Length)];
            codec.Encode(weights, bytes, new EncodeOptions { RowLength = source.Shape(stored)[1] });
            Assert.That(written.TryGet(name, out SafetensorsTensor? tensor));
            Assert.That(tensor!.UnsafeGetBytes((long)expert * bytes.Length, bytes.Length).SequenceEqual(bytes), name);
        }
    }

    [Test]
    public void BytesDoNotDependOnThreads()
    {
        foreach (string threads in (string[])["1", "3"])
        {
            Cli.Quantize(TestModels.TinyMoe, "q3_k", _folder[threads], "--threads", threads).MustSucceed();
        }

        Assert.That(File.ReadAllBytes(_folder["1/model.safetensors"]), Is.EqualTo(File.ReadAllBytes(_folder["3/model.safetensors"])));
    }

    [Test]
    public void ReportsWhatBecameOfEachTensor()
    {
        JsonElement report = Cli.Run(
            "quantize", "--model", TestModels.TinyDense, "--kquant-type", "q4_k", "--mlx-path", _folder["out"], "--json").MustSucceed().Json;
        JsonElement[] formats = report.Items("formats");
        JsonElement embedding = report.Items("tensors")
            .Single(tensor => tensor.Text("name") == "model.embed_tokens.weight");
        Assert.Multiple(() =>
        {
            Assert.That(report.Text("format"), Is.EqualTo("mlx"));
            Assert.That(report.Flag("dry_run"), Is.False);
            Assert.That(formats.Select(format => format.Text("format")), Is.EqualTo(["q4_k", "bf16"]));
            Assert.That(formats.Select(format => format.Int("tensors")), Is.EqualTo([43, 25]));
            Assert.That(formats[0].Number("bits_per_weight"), Is.EqualTo(4.5));
            Assert.That(formats[0].GetProperty("error").Number("nmse"), Is.InRange(0.003, 0.007));
            Assert.That(formats[0].GetProperty("error").Number("cosine"), Is.InRange(0.99, 0.9999));
            Assert.That(formats[1].IsNull("error"));
            Assert.That(embedding.Text("source_format"), Is.EqualTo("bf16"));
            Assert.That(embedding.Text("format"), Is.EqualTo("q4_k"));
            Assert.That(embedding.Int("source_bytes"), Is.EqualTo(2048 * 256 * 2));
            Assert.That(embedding.Int("bytes"), Is.EqualTo(2048 * 144));
            Assert.That(embedding.GetProperty("error").Number("rmse"), Is.Positive);
            Assert.That(embedding.Text("role"), Is.EqualTo("Embedding"));
        });
    }

    [Test]
    public void TheErrorIsThatOfTheDecodedWeights()
    {
        JsonElement written = Cli.Quantize(TestModels.TinyMoe, "q5_0", _folder["out"], "--json").MustSucceed().Json;
        JsonElement verified = Cli.Verify(_folder["out"], "--against", TestModels.TinyMoe, "--json").MustSucceed().Json;
        var errors = verified.Items("tensors").ToDictionary(
            tensor => tensor.Text("name"), tensor => tensor.GetProperty("error"));
        foreach (JsonElement tensor in written.Items("tensors").Where(tensor => tensor.Text("format") == "q5_0"))
        {
            foreach (string measure in (string[])["rmse", "nmse", "cosine", "max_abs"])
            {
                Assert.That(
                    tensor.GetProperty("error").GetProperty(measure).GetDouble(),
                    Is.EqualTo(errors[tensor.Text("name")].GetProperty(measure).GetDouble()).Within(1e-12).Percent);
            }
        }
    }

    [Test]
    public void BestModeHasTheSmallerError()
    {
        double[] errors =
        [
            .. ((string[])["reference", "best"]).Select(mode => Cli.Quantize(TestModels.TinyMoe, "q4_0", _folder[mode], "--encode", mode, "--json")
                .MustSucceed().Json.GetProperty("formats")[0].GetProperty("error").Number("nmse")),
        ];
        Assert.That(errors[1], Is.LessThan(errors[0]));
    }

    [Test]
    public void ADryRunWritesNothing()
    {
        string output = Cli.Quantize(TestModels.TinyDense, "q4_k", _folder["out"], "--dry-run").MustSucceed().Output;
        Assert.Multiple(() =>
        {
            Assert.That(_folder.Files(), Is.Empty);
            Assert.That(output, Does.Match(@"(?m)^model\.layers\.0\.mlp\.down_proj\.weight +FeedForward +\[256, 768\] +bf16 +q4_k +q4_k as asked for +384 KiB +108 KiB +4\.50$"));
            Assert.That(output, Does.Match(@"(?m)^model\.norm\.weight +Norm +\[256\] +bf16 +bf16 +Norm stays bf16 "));
            Assert.That(output, Does.Contain("Nothing was written"));
        });
        JsonElement report = Cli.Quantize(TestModels.TinyDense, "q4_k", _folder["out"], "--dry-run", "--json").Json;
        Assert.That(report.Flag("dry_run"));
        Assert.That(report.Int("bytes"), Is.InRange(2_900_000, 3_000_000));
    }

    [Test]
    public void AnOutputThatExistsIsReplacedOnlyWhenAskedTo()
    {
        string[] command = ["quantize", "--model", TestModels.TinyMoe, "--kquant-type", "q8_0", "--output", _folder["out"]];
        _folder.Write("out/model-00001-of-00002.safetensors", "old");
        Cli.Run(command).MustFail("exists; --overwrite replaces it.");
        Assert.That(_folder.Files("out"), Is.EqualTo(["model-00001-of-00002.safetensors"]));
        Cli.Run([.. command, "--overwrite"]).MustSucceed();
        Assert.That(_folder.Files("out"), Has.None.EqualTo("model-00001-of-00002.safetensors").And.Contains("model.safetensors"));
        Cli.Verify(_folder["out"]).MustSucceed();
    }

    [Test]
    public void TheModelItselfIsNoOutput()
    {
        string model = TestModels.WriteFolder(_folder["model"], 2, 256, stream => stream.Write(new byte[1024]));
        string link = _folder["link"];
        Directory.CreateSymbolicLink(link, model);
        Quantize(model).MustFail("is the model that is read");
        Quantize(link).MustFail("is the model that is read");
        Quantize(Path.Combine(model, "inside")).MustFail("lies inside");
        Assert.That(_folder.Files("model"), Is.EqualTo(["config.json", "model.safetensors"]));

        CliResult Quantize(string output) => Cli.Quantize(model, "q8_0", output, "--overwrite");
    }

    [Test]
    public void WhatIsQuantizedAlreadyIsNamed()
    {
        Cli.Quantize(TestModels.TinyMoe, "q4_k", _folder["q4"]).MustSucceed();
        string[] again = ["quantize", "--model", _folder["q4"], "--kquant-type", "q8_0", "--output", _folder["q8"]];
        Cli.Run(again).MustFail("is already quantized (mode 'kquant': 22 q4_k tensors); --allow-requantize");
        Cli.Run([.. again, "--allow-requantize"]).MustSucceed();

        // 8 bits hold what 4 bits could tell apart, so the error is that of q8_0 alone.
        Cli.Verify(_folder["q8"], "--against", _folder["q4"]).MustSucceed();

        JsonNode config = JsonNode.Parse(File.ReadAllText(_folder["q4/config.json"]))!;
        config["quantization"] = JsonNode.Parse("""{"group_size": 64, "bits": 4}""");
        config.AsObject().Remove("quantization_config");
        File.WriteAllText(_folder["q4/config.json"], config.ToJsonString());
        Cli.Run([.. again, "--allow-requantize", "--overwrite"]).MustFail("is already quantized (mode 'affine'");
    }

    [Test]
    public void OddWidthsFallBackAndSaySo()
    {
        string model = TestModels.WriteFolder(
            _folder["model"], 3, 96, stream => stream.Write(TestModels.Encode(QuantFormat.BF16, TestModels.Weights(1, 3 * 96))));
        CliResult result = Cli.Quantize(model, "q4_k", _folder["out"]).MustSucceed();
        Assert.That(result.Output, Does.Contain("1 tensor: width 96 is no multiple of 256: q5_0 instead of q4_k."));
        using ModelFolder written = ModelFolder.Open(_folder["out"]);
        Assert.That(written.GetTensor("model.embed_tokens").Format, Is.EqualTo(QuantFormat.Q5_0));
    }

    [TestCase("out")]
    [TestCase("new/folders/out")]
    [TestCase("out", "--shard", "1/1")]
    public void AWeightThatIsNotFiniteIsNamedAndNothingIsLeftBehind(string output, params string[] more)
    {
        float[] weights = TestModels.Weights(1, 4 * 256);
        weights[(2 * 256) + 17] = float.NaN;
        string model = TestModels.WriteFolder(_folder["model"], 4, 256, stream => stream.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(weights)), ElementType.F32);
        Cli.Quantize(model, "q4_k", _folder[output], more)
            .MustFail("model.embed_tokens.weight: q4_k: row 2, column 17: the weight is NaN");
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo([_folder["model"]]));
    }

    [Test]
    public void AScaleBeyondBinary16IsAnErrorOrKept()
    {
        string model = TestModels.WriteFolder(
            _folder["model"], 4, 256, stream => stream.Write(TestModels.Encode(QuantFormat.BF16, [.. TestModels.Weights(1, 4 * 256).Select(weight => weight * 1e9f)])));
        string[] command = ["quantize", "--model", model, "--kquant-type", "q8_0", "--output", _folder["out"]];
        Cli.Run(command).MustFail("model.embed_tokens.weight: q8_0: row 0");
        Cli.Run([.. command, "--on-overflow", "keep"]).MustSucceed();
        Cli.Verify(_folder["out"]).MustFail("weights are not finite");
    }

    [Test]
    public void AGgufFileDoesNotBecomeACheckpoint()
    {
        string gguf = TestModels.WriteGguf(_folder["model.gguf"]);
        Cli.Quantize(gguf, "q4_k", _folder["out"]).MustFail("that conversion is not possible");
        Assert.That(_folder.Files(), Is.EqualTo(["model.gguf"]));
    }

    [TestCase("x", "there is no such file or folder", "quantize", "--kquant-type", "q4_k", "--output", "y")]
    [TestCase("config.json", "model.safetensors", "inspect")]
    public void AModelThatIsNoneIsAnError(string name, string message, params string[] command)
    {
        _folder.Write("config.json", "{}");
        Cli.Run([.. command, "--model", name == "x" ? _folder["x"] : _folder.Path]).MustFail(message);
    }

    [TestCase("'q9' is no codec for --kquant-type; the codecs are q2_k, ", "quantize", "--model", "x", "--kquant-type", "q9", "--output", "y")]
    [TestCase("'f16' is no codec for --kquant-type", "quantize", "--model", "x", "--kquant-type", "f16", "--output", "y")]
    [TestCase("--encode is 'reference' or 'best', not 'worst'.", "quantize", "--model", "x", "--kquant-type", "q4_k", "--output", "y", "--encode", "worst")]
    [TestCase("--on-overflow is 'error' or 'keep', not 'no'.", "quantize", "--model", "x", "--kquant-type", "q4_k", "--output", "y", "--on-overflow", "no")]
    [TestCase("--threads is a number from 1 to 1024.", "quantize", "--model", "x", "--kquant-type", "q4_k", "--output", "y", "--threads", "0")]
    [TestCase("'--model' is required", "quantize", "--kquant-type", "q4_k", "--output", "y")]
    [TestCase("'--output' is required", "dequantize", "--model", "x")]
    [TestCase("--dtype is 'f32' or 'f16' or 'bf16', not 'q4_k'.", "dequantize", "--model", "x", "--output", "y", "--dtype", "q4_k")]
    [TestCase("--max-nmse is a number", "verify", "--model", "x", "--against", "y", "--max-nmse", "q4_k=much")]
    [TestCase("'--loud'", "inspect", "--model", "x", "--loud")]
    [TestCase("Required command was not provided.", "tensor")]
    [TestCase("-o takes a name that ends in .gguf", "tensor", "encode", "x.npy", "--codec", "q4_k", "-o", "y.npy")]
    [TestCase("-o takes a name that ends in .npy", "tensor", "decode", "x.gguf", "-o", "y.txt")]
    public void WrongUsageIsTwo(string message, params string[] args) => Cli.Run(args).MustFail(message, exitCode: 2);
}
