using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant verify</c>.</summary>
public class VerifyCommandTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        Cli.Quantize(TestModels.TinyMoe, "q4_0", _folder["q"]).MustSucceed();
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void FindsNothingWrongWithASoundModel()
    {
        Assert.That(
            Cli.Verify(_folder["q"]).MustSucceed().Output,
            Does.Contain("38 tensors, 22 of them quantized").And.Contain("No problems found."));
        JsonElement report = Cli.Verify(_folder["q"], "--against", TestModels.TinyMoe, "--json").MustSucceed().Json;
        JsonElement q4 = report.Items("formats").Single(format => format.Text("format") == "q4_0");
        Assert.Multiple(() =>
        {
            Assert.That(report.Flag("passed"));
            Assert.That(report.Items("problems").Length, Is.Zero);
            Assert.That(report.Items("tensors").Length, Is.EqualTo(38));
            Assert.That(q4.GetProperty("error").Number("nmse"), Is.InRange(0.005, q4.Number("max_nmse")));
        });
    }

    [Test]
    public void ShowsTheWorstTen()
    {
        string[] lines = Cli.Verify(_folder["q"], "--against", TestModels.TinyMoe).MustSucceed().Output.Split('\n');
        int at = Array.FindIndex(lines, line => line.StartsWith("The 10 tensors", StringComparison.Ordinal));
        double[] errors =
        [
            .. lines[(at + 2)..(at + 12)].Select(line =>
                double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3], System.Globalization.CultureInfo.InvariantCulture)),
        ];
        Assert.That(errors, Is.Ordered.Descending);
        Assert.That(lines[at + 12], Is.Empty);
    }

    [TestCase("0.001")]
    [TestCase("q4_0=0.001")]
    public void ALimitThatIsExceededFails(string limit)
    {
        CliResult result = Cli.Verify(_folder["q"], "--against", TestModels.TinyMoe, "--max-nmse", limit);
        result.MustFail($"{_folder["q"]} has 22 problems; the first: model.embed_tokens.weight: NMSE 0.00");
        Assert.That(result.Output, Does.Contain("too large"));
        Cli.Verify(_folder["q"], "--against", TestModels.TinyMoe, "--max-nmse", limit, "--max-nmse", "q4_0=1").MustSucceed();
    }

    [Test]
    public void AnInfiniteScaleIsNamed()
    {
        long offset;
        using (SafetensorsFile file = SafetensorsFile.Open(_folder["q"]))
        {
            file.TryGet("model.layers.1.self_attn.k_proj.weight", out SafetensorsTensor? tensor);
            offset = tensor!.Offset + (5 * (256 / 32 * 18));
        }

        Patch("q/model.safetensors", offset, 0x00, 0x7C);
        CliResult result = Cli.Verify(_folder["q"], "--json");
        result.MustFail("model.layers.1.self_attn.k_proj.weight: 32 weights are not finite, the first in row 5.");
        JsonElement tensorReport = result.Json.Items("tensors")
            .Single(tensor => tensor.Text("name") == "model.layers.1.self_attn.k_proj.weight");
        Assert.That(tensorReport.Int("non_finite"), Is.EqualTo(32));
    }

    [Test]
    public void OtherWeightsThanTheSourcesAreTooFarAway()
    {
        // Every scale of a tensor doubled: sound, but not this model.
        byte[] bytes;
        long offset;
        using (SafetensorsFile file = SafetensorsFile.Open(_folder["q"]))
        {
            file.TryGet("model.layers.0.self_attn.q_proj.weight", out SafetensorsTensor? tensor);
            offset = tensor!.Offset;
            bytes = tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).ToArray();
        }

        for (int block = 0; block < bytes.Length; block += 18)
        {
            bytes[block + 1] += 4;
        }

        Patch("q/model.safetensors", offset, bytes);
        Cli.Verify(_folder["q"]).MustSucceed();
        Cli.Verify(_folder["q"], "--against", TestModels.TinyMoe)
            .MustFail("model.layers.0.self_attn.q_proj.weight: NMSE 1.0");
    }

    [Test]
    public void AMissingPlaceholderIsNamed()
    {
        using (SafetensorsFile file = SafetensorsFile.Open(_folder["q"]))
        {
            var writer = new SafetensorsWriter();
            foreach (SafetensorsTensor tensor in file.Tensors.Where(tensor => tensor.Name != "model.embed_tokens.scales"))
            {
                writer.Add(tensor.Name, tensor.ElementType, tensor.Shape.AsSpan(), tensor.UnsafeGetBytes(0, (int)tensor.ByteCount).ToArray());
            }

            writer.WriteFolder(_folder["q2"]);
        }

        File.Copy(_folder["q/config.json"], _folder["q2/config.json"]);
        Cli.Verify(_folder["q2"]).MustFail("model.embed_tokens has no scales of one byte beside its weight");
    }

    [TestCase("""{"num_hidden_layers": 4}""", "Layer 3 has no tensors, but num_hidden_layers is 4.")]
    [TestCase("""{"vocab_size": 1000}""", "model.embed_tokens.weight has 2048 rows, but vocab_size is 1000.")]
    [TestCase("""{"hidden_size": 128}""", "model.embed_tokens.weight has 256 columns, but hidden_size is 128.")]
    [TestCase("""{"quantization_config": {"mode": "kquant", "per_tensor": {"a": "q4_0"}}}""", "quantization and quantization_config differ")]
    public void AConfigThatDoesNotFitIsNamed(string change, string problem)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(_folder["q/config.json"]))!.AsObject();
        foreach ((string key, JsonNode? value) in JsonNode.Parse(change)!.AsObject())
        {
            config[key] = value!.DeepClone();
        }

        File.WriteAllText(_folder["q/config.json"], config.ToJsonString());
        Cli.Verify(_folder["q"]).MustFail(problem);
    }

    [Test]
    public void ModelsThatAreNotTheSameAreNamed()
    {
        Cli.Verify(_folder["q"], "--against", TestModels.TinyDense).MustFail("problems; the first: ");
        string gguf = TestModels.WriteGguf(_folder["model.gguf"]);
        Cli.Verify(_folder["q"], "--against", gguf).MustFail("one is a GGUF file and the other is not");
        Cli.Verify(gguf, "--against", TestModels.TinyDense).MustFail("problems; the first: ");
    }

    [Test]
    public void AGgufWithAGapIsNamed()
    {
        string gguf = TestModels.WriteGguf(_folder["model.gguf"], QuantFormat.F16, writer =>
        {
            writer.Metadata.Set("qwen3moe.block_count", 3u);
            writer.Metadata.Set("qwen3moe.embedding_length", 128u);
        });
        CliResult result = Cli.Verify(gguf, "--json");
        result.MustFail("has 2 problems; the first: Layer 2 has no tensors, but qwen3moe.block_count is 3.");
        Assert.That(
            result.Json.GetProperty("problems")[1].GetString(),
            Is.EqualTo("token_embd.weight has 256 columns, but qwen3moe.embedding_length is 128."));
        string tensors = TestModels.WriteGguf(_folder["t.gguf"], QuantFormat.F16, writer => writer.Metadata.Remove("general.architecture"));
        Cli.Verify(tensors).MustFail("general.architecture is missing");
    }

    private void Patch(string name, long offset, params byte[] bytes)
    {
        using FileStream stream = File.OpenWrite(_folder[name]);
        stream.Position = offset;
        stream.Write(bytes);
    }
}
