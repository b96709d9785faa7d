using System.Text.Json;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant inspect</c>.</summary>
public class InspectCommandTests
{
    private static IEnumerable<MalformedCase> Corpus => [.. MalformedCase.Load("gguf"), .. MalformedCase.Load("safetensors")];

    [Test]
    public void ShowsAFloatCheckpoint()
    {
        JsonElement report = Cli.Inspect(TestModels.TinyMoe, "--json").MustSucceed().Json;
        JsonElement stack = report.Items("tensors")
            .Single(tensor => tensor.Text("path") == "model.layers.0.mlp.switch_mlp.down_proj");
        Assert.Multiple(() =>
        {
            Assert.That(
                report.EnumerateObject().Select(property => property.Name),
                Is.EqualTo(
                [
                    "model", "kind", "model_type", "num_hidden_layers", "quantization", "file_bytes", "tensor_bytes", "parameters",
                    "bits_per_weight", "num_tensors", "num_quantized", "codec_histogram", "formats", "metadata", "tensors",
                    "architecture", "architecture_problem",
                ]));
            Assert.That(report.Text("kind"), Is.EqualTo("checkpoint"));
            Assert.That(report.Text("model_type"), Is.EqualTo("qwen3_moe"));
            Assert.That(report.Int("num_hidden_layers"), Is.EqualTo(3));
            Assert.That(report.IsNull("quantization"));
            Assert.That(report.Int("num_quantized"), Is.Zero);
            Assert.That(report.Number("bits_per_weight"), Is.EqualTo(16));
            Assert.That(report.GetProperty("metadata").Int("num_experts"), Is.EqualTo(8));
            Assert.That(stack.Text("kind"), Is.EqualTo("moe"));
            Assert.That(stack.Text("role"), Is.EqualTo("RoutedExpert"));
            Assert.That(stack.Ints("logical_shape"), Is.EqualTo([8, 256, 256]));
            Assert.That(stack.Ints("packed_shape"), Is.EqualTo([8, 256, 512]));
        });
    }

    [Test]
    public void APageShowsBitsAndErrors()
    {
        using var folder = new TemporaryFolder();
        Cli.Run("quantize", "--model", TestModels.TinyDense, "--preset", "llama.q4_k_m", "--output", folder["q.gguf"]).MustSucceed();
        Cli.Inspect(folder["q.gguf"], "--html", folder["bits.html"]).MustSucceed();
        CliResult compared = Cli.Inspect(folder["q.gguf"], "--html", folder["errors.html"], "--against", TestModels.TinyDense).MustSucceed();
        string bits = File.ReadAllText(folder["bits.html"]), errors = File.ReadAllText(folder["errors.html"]);
        JsonElement tensor = Cli.Inspect(folder["q.gguf"], "--against", TestModels.TinyDense, "--json").MustSucceed().Json.Items("tensors")
            .Single(tensor => tensor.Text("name") == "blk.3.attn_q.weight");
        string shown = KQuant.Cli.Rendering.Amounts.Small(tensor.GetProperty("error").Number("nmse"));
        Assert.Multiple(() =>
        {
            Assert.That(bits, Does.Match("<th>blk.3</th>.*title=\"blk.3.attn_q.weight: q4_k, .*\">4.50</td>").And.Not.Contain("NMSE"));
            Assert.That(errors, Does.Contain("NMSE").And.Match($"blk.3.attn_q.weight: q4_k, [^>]*>{shown}</td>"));
            Assert.That(errors, Does.Not.Contain("<script").And.Not.Contain("http").And.Not.Contain("src="));
            Assert.That(compared.Output, Does.Match(@"blk\.3\.attn_q\.weight +linear +q4_k .* " + shown));
        });
        Cli.Inspect(folder["q.gguf"], "--against", folder["nothing"]).MustFail("nothing");
        byte[] model = File.ReadAllBytes(folder["q.gguf"]);
        Cli.Inspect(folder["q.gguf"], "--html", folder["q.gguf"]).MustFail("which is read; the page must be another place");
        Assert.That(File.ReadAllBytes(folder["q.gguf"]), Is.EqualTo(model).AsCollection);
        Cli.Inspect(folder["q.gguf"], "--against", TestModels.TinyMoe, "--html", folder["moe.html"]).MustSucceed();
        Assert.That(File.ReadAllText(folder["moe.html"]), Does.Contain("blk.0.ffn_down.weight is not in"));
    }

    [Test]
    public void ShowsAQuantizedCheckpoint()
    {
        using var folder = new TemporaryFolder();
        Cli.Quantize(TestModels.TinyDense, "q4_k", folder["q"]).MustSucceed();
        JsonElement report = Cli.Inspect(folder["q"], "--json").MustSucceed().Json;
        JsonElement embedding = report.GetProperty("tensors")[0];
        string text = Cli.Inspect(folder["q"]).MustSucceed().Output;
        Assert.Multiple(() =>
        {
            Assert.That(report.Text("quantization"), Is.EqualTo("kquant"));
            Assert.That(report.Int("num_quantized"), Is.EqualTo(43));
            Assert.That(report.GetProperty("codec_histogram").EnumerateObject().Select(codec => (codec.Name, codec.Value.GetInt32())), Is.EqualTo([("q4_k", 43)]));
            Assert.That(report.Number("bits_per_weight"), Is.InRange(4.5, 4.52));
            Assert.That(embedding.Text("path"), Is.EqualTo("model.embed_tokens"));
            Assert.That(embedding.Text("kind"), Is.EqualTo("embedding"));
            Assert.That(embedding.Text("codec"), Is.EqualTo("q4_k"));
            Assert.That(embedding.Int("bits"), Is.EqualTo(4));
            Assert.That(embedding.Int("group_size"), Is.EqualTo(256));
            Assert.That(embedding.Int("bytes"), Is.EqualTo(2048 * 144));
            Assert.That(embedding.Ints("packed_shape"), Is.EqualTo([2048, 144]));
            Assert.That(text, Does.Contain("checkpoint, qwen3, 6 layers, quantized with mode 'kquant'"));
            Assert.That(text, Does.Match(@"(?m)^q4_k +43 +5\.24 M +2\.81 MiB +4\.50$"));
            Assert.That(text, Does.Match(@"(?m)^model\.embed_tokens\.weight +embedding +q4_k +\[2048, 256\] +288 KiB$"));
        });
    }

    [TestCaseSource(nameof(Corpus))]
    public void TreatsEveryFileOfTheCorpusAsItsManifestSays(MalformedCase file)
    {
        CliResult result = Cli.Inspect(file.Path);
        bool isRefused = file.Expect switch
        {
            "accept" => false,
            "either" => result.ExitCode != 0,

            // Types that nobody knows are listed; only what needs the data refuses them.
            _ => file.Category != "type_id",
        };
        if (isRefused)
        {
            result.MustFail(Path.GetFileName(file.Path));
            Assert.That(result.Output, Is.Empty);
            return;
        }

        result.MustSucceed();
        JsonElement report = Cli.Inspect(file.Path, "--json").MustSucceed().Json;
        Assert.That(report.Items("tensors").Length, Is.EqualTo(report.Int("num_tensors")));
        if (file.Category == "type_id" && file.Expect == "reject")
        {
            Cli.Verify(file.Path).MustFail("GGML type");
        }
    }

    [Test]
    public void ListsTypesThatNobodyKnows()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("new.gguf", new GgufBytes().Key("general.architecture", "new").Tensor("strange", [32], 77, new byte[64]).ToArray());
        JsonElement report = Cli.Inspect(path, "--json").MustSucceed().Json;
        JsonElement tensor = report.GetProperty("tensors")[0];
        Assert.Multiple(() =>
        {
            Assert.That(tensor.Text("codec"), Is.EqualTo("type 77"));
            Assert.That(tensor.IsNull("bytes"));
            Assert.That(report.GetProperty("codec_histogram").GetProperty("type 77").GetInt32(), Is.EqualTo(1));
        });
        Assert.That(Cli.Inspect(path).MustSucceed().Output, Does.Match(@"(?m)^strange +other +type 77 +\[32\] +\?$"));
        Cli.Verify(path).MustFail("strange has GGML type 77, which is not known");
    }

    [Test]
    public void ControlCharactersOfAFileDoNotReachTheTerminal()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write(
            "evil.gguf", new GgufBytes().Key("general.architecture", "a\u001b[2Jb").Key("evil\u001b]0;x\u0007", "c\u001b[31md").Tensor("t\u001b[1A", 1f).ToArray());
        Assert.That(Cli.Inspect(path).MustSucceed().Output.Where(c => char.IsControl(c) && c != '\n'), Is.Empty);
    }
}
