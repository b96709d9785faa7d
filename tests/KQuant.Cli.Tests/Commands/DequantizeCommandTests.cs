using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant dequantize</c> from folder to folder.</summary>
public class DequantizeCommandTests
{
    /// <summary>With activations in float32 a product depends on the values of weights alone, not on how they are stored.</summary>
    [TestCase("q4_k")]
    [TestCase("q6_k")]
    [TestCase("q5_1")]
    [TestCase("q8_0")]
    public void LogitsAreThoseOfTheQuantizedModelExactly(string codec)
    {
        using var folder = new TemporaryFolder();
        Cli.Quantize(TestModels.TinyMoe, codec, folder["q"]).MustSucceed();
        Cli.Dequantize(folder["q"], folder["f"]).MustSucceed();
        string[] arguments = ["logits", "--ids", "1,20,300,4,5,6,7,8,9,10,11,12", "--activations", "f32"];
        Cli.Run([.. arguments, "--model", folder["q"], "--output", folder["q.npy"]]).MustSucceed();
        Cli.Run([.. arguments, "--model", folder["f"], "--output", folder["f.npy"]]).MustSucceed();
        byte[] logits = File.ReadAllBytes(folder["q.npy"]);
        Assert.That(logits, Is.EqualTo(File.ReadAllBytes(folder["f.npy"])).And.Length.GreaterThan(10_000));

        // They are not those of the model that was quantized.
        Cli.Run([.. arguments, "--model", TestModels.TinyMoe, "--output", folder["x.npy"]]).MustSucceed();
        Assert.That(File.ReadAllBytes(folder["x.npy"]), Is.Not.EqualTo(logits));
    }

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("tiny-dense", "q4_k")]
    [TestCase("tiny-moe", "q2_k")]
    public void GivesTheStoredTensorsBackAsFloats(string model, string codec)
    {
        string source = RepositoryFiles.Fixture("models", model);
        Cli.Quantize(source, codec, _folder["q"]).MustSucceed();
        Cli.Dequantize(_folder["q"], _folder["f"]).MustSucceed();

        using SafetensorsFile original = SafetensorsFile.Open(source), floats = SafetensorsFile.Open(_folder["f"]);
        JsonObject config = JsonNode.Parse(File.ReadAllText(_folder["f/config.json"]))!.AsObject();
        Assert.Multiple(() =>
        {
            Assert.That(
                floats.Tensors.Select(Describe).Order(StringComparer.Ordinal),
                Is.EqualTo(original.Tensors.Select(tensor => Describe(tensor).Replace("BF16", "F32", StringComparison.Ordinal)).Order(StringComparer.Ordinal)));
            Assert.That(config.ContainsKey("quantization"), Is.False);
            Assert.That(config.ContainsKey("quantization_config"), Is.False);
            Assert.That(config["torch_dtype"]!.GetValue<string>(), Is.EqualTo("float32"));
            Assert.That(_folder.Files("f"), Is.EqualTo(_folder.Files("q")));
        });

        // Exactly the decoded weights: the same model, opened either way.
        using ModelFolder quantized = ModelFolder.Open(_folder["q"]), decoded = ModelFolder.Open(_folder["f"]);
        foreach (ModelTensor tensor in quantized.Tensors)
        {
            Assert.That(decoded.TryGetTensor(tensor.Name, out ModelTensor? other));
            float[] expected = new float[tensor.GetWeightCount()], actual = new float[tensor.GetWeightCount()];
            tensor.ReadRows(0, expected);
            other!.ReadRows(0, actual);
            Assert.That(actual.AsSpan().SequenceEqual(expected), tensor.Name);
        }
    }

    [TestCase("f16", "float16", QuantFormat.F16)]
    [TestCase("bf16", "bfloat16", QuantFormat.BF16)]
    public void RoundsToSixteenBits(string type, string name, QuantFormat format)
    {
        Cli.Quantize(TestModels.TinyDense, "q8_0", _folder["q"]).MustSucceed();
        Cli.Dequantize(_folder["q"], _folder["f"], "--dtype", type).MustSucceed();
        using ModelFolder quantized = ModelFolder.Open(_folder["q"]), decoded = ModelFolder.Open(_folder["f"]);
        const string Name = "model.layers.2.mlp.up_proj.weight";
        ModelTensor before = quantized.Tensors.Single(tensor => tensor.Name == Name);
        ModelTensor after = decoded.Tensors.Single(tensor => tensor.Name == Name);
        var weights = new float[before.GetWeightCount()];
        before.ReadRows(0, weights);
        var bytes = new byte[after.ByteCount];
        after.ReadBytes(0, bytes);
        Assert.Multiple(() =>
        {
            Assert.That(bytes, Is.EqualTo(TestModels.Encode(format, weights)));
            Assert.That(decoded.Tensors.Select(tensor => tensor.FormatName), Is.All.EqualTo(type));
            Assert.That(decoded.Config["torch_dtype"]!.GetValue<string>(), Is.EqualTo(name));
        });
    }

    [Test]
    public void QuantizingTheFloatsAgainGivesTheSameBytes()
    {
        // q8_0 stores its largest weight as 127 steps, so that the decoded weights lead to the same scale again.
        Cli.Quantize(TestModels.TinyMoe, "q8_0", _folder["q"]).MustSucceed();
        Cli.Dequantize(_folder["q"], _folder["f"]).MustSucceed();
        Cli.Quantize(_folder["f"], "q8_0", _folder["q2"]).MustSucceed();
        using SafetensorsFile first = SafetensorsFile.Open(_folder["q"]), second = SafetensorsFile.Open(_folder["q2"]);
        Assert.That(
            second.Tensors.Where(tensor => tensor.ElementType == ElementType.U8).Select(tensor => (tensor.Name, Convert.ToHexString(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount)))),
            Is.EquivalentTo(first.Tensors.Where(tensor => tensor.ElementType == ElementType.U8).Select(tensor => (tensor.Name, Convert.ToHexString(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount))))));
    }

    [Test]
    public void AFloatFolderHasNothingToDecode() =>
        Cli.Dequantize(TestModels.TinyDense, _folder["f"]).MustFail("holds no quantized weights");

    private static string Describe(SafetensorsTensor tensor) => $"{tensor.Name} {tensor.ElementType} [{string.Join(", ", tensor.Shape)}]";
}
