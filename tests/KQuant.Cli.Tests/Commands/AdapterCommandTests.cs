using System.Runtime.InteropServices;
using KQuant.Codecs.Files;
using KQuant.Models;
using KQuant.Models.Adapters;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary><c>--adapter</c> of the commands that run a model.</summary>
public class AdapterCommandTests
{
    private readonly TemporaryFolder _folder = new();
    private string _adapter = "";

    [OneTimeSetUp]
    public void SetUp() => _adapter = TestAdapter.Reference("after5.b_nonzero").WriteMlx(_folder["adapter"]);

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void LogitsAreThoseOfTheLibrary([Values("", "=0.5", "=-1e0")] string scale)
    {
        int[] ids = [5, 700, 33, 2000];
        float[] actual = Logits("one" + scale, "--adapter", _adapter + scale);
        float factor = scale == "" ? 1 : float.Parse(scale[1..], System.Globalization.CultureInfo.InvariantCulture);
        var applied = new AppliedAdapter { Adapter = LoraAdapter.Load(_adapter), Scale = factor };
        using var model = LanguageModel.Load(TestModels.TinyDense, new ModelOptions { Adapters = [applied], LoadTokenizer = false });
        using KeyValueCache cache = model.CreateCache();
        var expected = new float[actual.Length];
        model.Forward(ids, cache, expected);
        Assert.That(actual, Is.EqualTo(expected));
        Assert.That(actual, Is.Not.EqualTo(Logits("none")));
    }

    [Test]
    public void SeveralActTogether()
    {
        // Once and minus once is nothing, but for rounding.
        float[] both = Logits("both", "--adapter", _adapter, "--adapter", _adapter + "=-1"), none = Logits("neither");
        Assert.That(both, Is.EqualTo(none).Within(1e-3));
        Assert.That(Logits("twice", "--adapter", _adapter, "--adapter", _adapter), Is.EqualTo(Logits("double", "--adapter", _adapter + "=2")).Within(1e-3));
    }

    [Test]
    public void EveryCommandThatRunsAModelTakesThem()
    {
        string text = _folder.Write("text.txt", string.Concat(Enumerable.Repeat("It was a dark evening, and Mr. Holmes had been in the room. ", 30)));
        string plain = Cli.Run("perplexity", TestModels.TinyDense, "--file", text, "--ctx", "64").MustSucceed().Output;
        string adapted = Cli.Run("perplexity", TestModels.TinyDense, "--file", text, "--ctx", "64", "--adapter", _adapter, "--against", TestModels.TinyDense)
            .MustSucceed().Output;
        Assert.That(adapted.Split(' ')[1], Is.Not.EqualTo(plain.Split(' ')[1]));
        Assert.That(adapted, Does.Not.Contain("mean 0.000000"), "the model to compare with has no adapter");
        foreach (string verb in (string[])["run", "chat", "serve", "kv compare", "imatrix calibrate"])
        {
            Assert.That(Cli.Run([.. verb.Split(' '), "--help"]).Output, Does.Contain("--adapter <path[=scale]>"), verb);
        }

        Assert.That(Cli.Run("run", TestModels.TinyDense, "--adapter", _adapter, "-p", "It was", "-m", "4").ExitCode, Is.Zero);
    }

    [Test]
    public void WhatIsNoAdapterIsRefused()
    {
        string[] command = ["logits", TestModels.TinyDense, "--ids", "1", "-o", _folder["no.npy"]];
        Cli.Run([.. command, "--adapter", _adapter + "=much"]).MustFail("--adapter is a path, perhaps with '='", exitCode: 2);
        Cli.Run([.. command, "--adapter", "=2"]).MustFail("--adapter is a path", exitCode: 2);
        Cli.Run([.. command, "--adapter", _folder["nothing"]]).MustFail("there is no such file or folder");
        Cli.Run([.. command, "--adapter", TestModels.TinyDense]).MustFail("neither adapters.safetensors nor adapter_model.safetensors");
        string other = TestAdapter.Random(2, ("model.layers.0.self_attn.q_proj", 64, 256)).WritePeft(_folder["other"]);
        Cli.Run([.. command, "--adapter", other]).MustFail("the adapter is for a weight [64, 256], and that of the model is [256, 256]");
        Assert.That(File.Exists(_folder["no.npy"]), Is.False);
    }

    private float[] Logits(string name, params string[] more)
    {
        string path = _folder[name + ".safetensors"];
        Cli.Run(["logits", TestModels.TinyDense, "--ids", "5,700,33,2000", "-o", path, "--overwrite", .. more]).MustSucceed();
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.TryGet("logits", out SafetensorsTensor? tensor));
        return MemoryMarshal.Cast<byte, float>(tensor!.UnsafeGetBytes(0, (int)tensor.ByteCount)).ToArray();
    }
}
