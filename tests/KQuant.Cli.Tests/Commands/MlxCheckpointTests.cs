using System.Text.Json;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>The verbs on checkpoints in MLX's own modes.</summary>
public class MlxCheckpointTests
{
    private const string Text =
        "It was a dark evening, and Mr. Holmes had been in the room for an hour before he spoke. He was a very good fellow, and I was very much "
        + "surprised at his being so silent. \"My dear Emma,\" said he at last, \"I have had a letter from your sister, and I do not know how to answer it. "
        + "She is to be married, and she will not have the house, nor the horses, nor anything that belonged to her father.\"";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("tiny-dense", "affine8", "affine8_64_bf16")]
    [TestCase("tiny-dense", "mixed_4_6", "affine4_64_bf16")]
    [TestCase("tiny-dense", "nvfp4", "mlx_nvfp4")]
    [TestCase("tiny-moe", "mxfp8", "mlx_mxfp8")]
    public void ACheckpointIsWrittenReadAndComputedWith(string model, string type, string format)
    {
        string source = RepositoryFiles.Fixture("models", model), text = _folder.Write("text.txt", Text);
        Cli.Quantize(source, type, _folder["q"], "--encode", "best").MustSucceed();
        Assert.That(Cli.Run("inspect", "--model", _folder["q"]).MustSucceed().Output, Does.Contain(format));
        Cli.Verify(_folder["q"], "--against", source).MustSucceed();
        Cli.Run("run", "--model", _folder["q"], "--prompt", "It was", "--max-tokens", "3", "--raw").MustSucceed();
        double quantized = Perplexity(_folder["q"], text), original = Perplexity(source, text);
        Assert.That(quantized, Is.EqualTo(original).Within(25).Percent);

        // Decoded, it is the same model.
        Cli.Dequantize(_folder["q"], _folder["f"]).MustSucceed();
        Assert.That(Perplexity(_folder["f"], text), Is.EqualTo(quantized).Within(1e-3));
    }

    [Test]
    public void AGroupSizeIsTaken()
    {
        Cli.Quantize(TestModels.TinyDense, "affine4", _folder["q"], "--group-size", "128").MustSucceed();
        JsonElement config = JsonDocument.Parse(File.ReadAllBytes(_folder["q/config.json"])).RootElement.GetProperty("quantization");
        Assert.That(config.GetRawText().Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal), Is.EqualTo("""{"group_size":128,"bits":4,"mode":"affine"}"""));
        Cli.Quantize(_folder["q"], "affine4", _folder["r"]).MustFail("is already quantized (mode 'affine'");
        Cli.Quantize(_folder["q"], "q8_0", _folder["r"], "--allow-requantize").MustSucceed();
    }

    [TestCase("tiny-dense", "affine4")]
    [TestCase("tiny-moe", "affine8")]
    [TestCase("tiny-moe", "nvfp4")]
    public void ACheckpointBecomesAGguf(string model, string type)
    {
        string source = RepositoryFiles.Fixture("models", model), text = _folder.Write("text.txt", Text);
        Cli.Quantize(source, type, _folder["q"]).MustSucceed();
        Cli.Quantize(_folder["q"], "q8_0", _folder["r.gguf"]).MustFail("--allow-requantize encodes it again.");
        Cli.Run("quantize", _folder["q"], "--output", _folder["r.gguf"]).MustFail(
            "which no GGUF file can hold; --kquant-type with --allow-requantize encodes it again, 'kquant dequantize' makes floats of it.");

        Cli.Quantize(_folder["q"], "q8_0", _folder["r.gguf"], "--allow-requantize").MustSucceed();
        Cli.Dequantize(_folder["q"], _folder["f.gguf"]).MustSucceed();
        double quantized = Perplexity(_folder["q"], text);
        Assert.That(Perplexity(_folder["f.gguf"], text), Is.EqualTo(quantized).Within(1e-3));
        Assert.That(Perplexity(_folder["r.gguf"], text), Is.EqualTo(quantized).Within(2).Percent);
    }

    [TestCase("--group-size: affine has groups of 32, 64 or 128 weights, not 48.", "affine4", "q", "--group-size", "48")]
    [TestCase("--group-size is for MLX's modes of a checkpoint.", "q4_k", "q", "--group-size", "64")]
    [TestCase("'affine4' is a mode of MLX's, which a GGUF file cannot hold.", "affine4", "q.gguf")]
    [TestCase("'affine7' is no codec for --kquant-type; the codecs are q2_k,", "affine7", "q")]
    public void WrongUsageIsNamed(string message, string type, string output, params string[] more) =>
        Cli.Quantize(TestModels.TinyDense, type, _folder[output], more).MustFail(message, exitCode: 2);

    private static double Perplexity(string model, string text) =>
        Cli.Run("perplexity", "--model", model, "--file", text, "--ctx", "64", "--stride", "32", "--json").MustSucceed().Json.GetProperty("perplexity").GetDouble();
}
