using System.Text.Json;
using KQuant.Codecs.Files;
using KQuant.Models.Adapters;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>kquant lora</c>.</summary>
public class LoraCommandTests
{
    private const string Query = "model.layers.0.self_attn.q_proj";

    private readonly TemporaryFolder _folder = new();
    private string _adapter = "";

    [OneTimeSetUp]
    public void SetUp() => _adapter = TestAdapter.Reference("after5.b_nonzero").WriteMlx(_folder["adapter"]);

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void InfoAsText()
    {
        string text = Cli.Run("lora", "info", _adapter, "--model", TestModels.TinyDense).MustSucceed().Output;
        string[] lines = text.Split('\n');
        Assert.That(lines[0], Does.EndWith("adapter: mlx-lm, 12 weights, 43008 parameters, scale 2, for somewhere/base"));
        Assert.That(lines[2], Does.Match("^layer +ranks +keys +parameters$"));
        Assert.That(lines[3], Does.Match("^0 +8 +self_attn.q_proj, self_attn.v_proj +7168$"));
        Assert.That(lines[8], Does.StartWith("5 "));
        Assert.That(text, Does.Contain("mlx-lm: yes\n").And.Contain("gguf: once it is converted\n").And.Contain("tiny-dense: yes\n"));
    }

    [Test]
    public void InfoAsJson()
    {
        JsonElement json = Cli.Run("lora", "info", _adapter, "--json").MustSucceed().Json;
        Assert.That(json.GetProperty("format").GetString(), Is.EqualTo("mlx-lm"));
        Assert.That(json.GetProperty("keys").EnumerateArray().Select(key => key.GetString()), Is.EqualTo("self_attn.q_proj self_attn.v_proj".Split(' ')));
        Assert.That(json.GetProperty("layers")[5].GetProperty("ranks")[0].GetInt32(), Is.EqualTo(8));
        Assert.That(json.GetProperty("weights")[1].GetProperty("outputs").GetInt32(), Is.EqualTo(128));
        Assert.That(json.GetProperty("scales")[0].GetSingle(), Is.EqualTo(2));
        JsonElement[] readers = [.. json.GetProperty("readers").EnumerateArray()];
        Assert.That(readers.Select(reader => reader.GetProperty("reader").GetString()), Is.EqualTo("mlx-lm peft gguf".Split(' ')));
        Assert.That(readers.Select(reader => reader.GetProperty("accepts").GetBoolean()), Is.EqualTo(readers.Select((_, i) => i == 0)));
        Assert.That(readers[2].GetProperty("reason").GetString(), Does.Contain("the model tells it"));
    }

    [Test]
    public void InfoSaysWhyNot()
    {
        TestAdapter uneven = TestAdapter.Random(4, (Query, 256, 256));
        uneven.Terms["model.layers.1.self_attn.q_proj"] = TestAdapter.Random(2, (Query, 256, 256)).Terms[Query];
        uneven.Terms["model.layers.2.self_attn.k_proj"] = TestAdapter.Random(4, (Query, 256, 256)).Terms[Query];
        string text = Cli.Run("lora", "info", uneven.WriteMlx(_folder["uneven"]), "--model", TestModels.TinyDense).MustSucceed().Output;
        Assert.That(text, Does.Contain("mlx-lm: ranks differ, 2 to 4, and mlx-lm loads one rank for all; --uniform-rank pads them\n"));
        Assert.That(text, Does.Contain("model.layers.2.self_attn.k_proj.weight': the adapter is for a weight [256, 256], and that of the model is [128, 256]\n"));
    }

    [Test]
    public void ThroughAllFormatsAndBack()
    {
        Convert(_adapter, "peft", "peft").MustSucceed();
        Convert(_folder["peft"], "gguf", "a.gguf", "--model", TestModels.TinyDense).MustSucceed();
        Assert.That(Convert(_folder["a.gguf"], "mlx-lm", "back").MustSucceed().Output, Does.EndWith("back, mlx-lm: 12 weights.\n"));
        LoraAdapter before = LoraAdapter.Load(_adapter), after = LoraAdapter.Load(_folder["back"]);
        Assert.That(after.Weights.Select(weight => (weight.Name, weight.Scale)), Is.EquivalentTo(before.Weights.Select(weight => (weight.Name, weight.Scale))));
        foreach (LoraWeight weight in after.Weights)
        {
            LoraWeight other = before.Weights.Single(other => other.Name == weight.Name);
            Assert.That(Numbers.Bits(weight.A.Span), Is.EqualTo(Numbers.Bits(other.A.Span)));
            Assert.That(Numbers.Bits(weight.B.Span), Is.EqualTo(Numbers.Bits(other.B.Span)));
        }

        Assert.That(after.BaseModel, Is.EqualTo("somewhere/base"));
        Convert(_adapter, "peft", "named", "--base-model", "another").MustSucceed();
        Assert.That(LoraAdapter.Load(_folder["named"]).BaseModel, Is.EqualTo("another"));
    }

    [Test]
    public void WhatCannotBeConvertedIsRefused()
    {
        Convert(_adapter, "gguf", "none.gguf").MustFail("the model tells it");
        Convert(_adapter, "other", "none").MustFail("--to is 'mlx-lm' or 'peft' or 'gguf', not 'other'", exitCode: 2);
        Convert(_adapter, "gguf", "none.gguf", "--model", TestModels.TinyMoe).MustFail("the model has no such weight");
        Convert(_adapter, "peft", "there").MustSucceed();
        Convert(_adapter, "peft", "there").MustFail("--overwrite replaces it");
        Convert(_adapter, "peft", "there", "--overwrite").MustSucceed();
        Convert(TestModels.TinyDense, "peft", "none").MustFail("neither adapters.safetensors nor");
        Assert.That(Directory.Exists(_folder["none"]) || File.Exists(_folder["none.gguf"]), Is.False);
    }

    [Test]
    public void FusedModelsRun()
    {
        string quantized = _folder["q8"], fused = _folder["fused"], floats = _folder["floats.gguf"];
        Cli.Quantize(TestModels.TinyDense, "q8_0", quantized).MustSucceed();
        string output = Cli.Run("lora", "fuse", quantized, "--adapter", _adapter, "--output", fused).MustSucceed().Output;
        Assert.That(output, Does.Contain("q8_0").And.Contain($"Wrote {fused}"));
        Cli.Verify(fused).MustSucceed();
        Cli.Run("lora", "fuse", TestModels.TinyDense, "--adapter", _adapter, "-o", floats, "--dequantize", "f32").MustSucceed();
        string text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat("It was a dark evening, and Mr. Holmes had been in the room. ", 30)));
        double beside = Perplexity(TestModels.TinyDense, "--adapter", _adapter), before = Perplexity(TestModels.TinyDense);
        Assert.That(Perplexity(floats), Is.EqualTo(beside).Within(0.001).Percent);
        Assert.That(Perplexity(fused), Is.EqualTo(beside).Within(0.2).Percent);
        Assert.That(before, Is.Not.EqualTo(beside).Within(0.4).Percent);

        double Perplexity(string model, params string[] more) =>
            Cli.Run(["perplexity", model, "--file", text, "--ctx", "64", "--activations", "f32", "--json", .. more]).MustSucceed().Json.GetProperty("perplexity").GetDouble();
    }

    [Test]
    public void ImportanceCountsWhereWeightsAreEncodedAgain()
    {
        string text = _folder.Write("calibration.txt", string.Concat(Enumerable.Repeat("It was a dark evening, and Mr. Holmes had been in the room. ", 30)));
        string quantized = _folder["q4.gguf"], imatrix = _folder["imatrix.gguf"];
        Cli.Quantize(TestModels.TinyDense, "q4_k", quantized).MustSucceed();
        Cli.Run("imatrix", "calibrate", TestModels.TinyDense, "--corpus", text, "--ctx", "64", "--output", imatrix).MustSucceed();
        string plain = Fuse("plain.gguf"), weighed = Fuse("weighed.gguf", "--imatrix", imatrix);
        using GgufFile before = GgufFile.Open(quantized), one = GgufFile.Open(plain), other = GgufFile.Open(weighed);
        Assert.That(Bytes(other, "blk.0.attn_q.weight"), Is.Not.EqualTo(Bytes(one, "blk.0.attn_q.weight")));
        Assert.That(Bytes(other, "blk.0.ffn_up.weight"), Is.EqualTo(Bytes(before, "blk.0.ffn_up.weight")));
        Cli.Run("lora", "fuse", quantized, "--adapter", _adapter, "-o", _folder["no.gguf"], "--imatrix", _folder["nothing"]).MustFail("there is no such importance matrix");

        string Fuse(string name, params string[] more)
        {
            Cli.Run(["lora", "fuse", quantized, "--adapter", _adapter, "-o", _folder[name], .. more]).MustSucceed();
            return _folder[name];
        }

        static byte[] Bytes(GgufFile file, string name)
        {
            Assert.That(file.TryGet(name, out GgufTensor? tensor));
            var bytes = new byte[tensor!.ByteCount!.Value];
            tensor.ReadBytes(0, bytes);
            return bytes;
        }
    }

    [Test]
    public void WhatCannotBeFusedIsRefused()
    {
        string[] command = ["lora", "fuse", TestModels.TinyDense, "-o", _folder["no"]];
        Cli.Run(command).MustFail("'--adapter' is required", exitCode: 2);
        Cli.Run([.. command, "--adapter", _folder["nothing"]]).MustFail("there is no such file or folder");
        string other = TestAdapter.Random(2, (Query, 64, 256)).WritePeft(_folder["other"]);
        Cli.Run([.. command, "--adapter", other]).MustFail("the adapter is for a weight [64, 256]");
        Assert.That(Directory.Exists(_folder["no"]), Is.False);
        Cli.Run("lora", "fuse", TestModels.TinyDense, "--adapter", _adapter, "-o", _adapter).MustFail("--overwrite replaces it");
    }

    private CliResult Convert(string adapter, string format, string output, params string[] more) =>
        Cli.Run(["lora", "convert", adapter, "--to", format, "--output", _folder[output], .. more]);
}
