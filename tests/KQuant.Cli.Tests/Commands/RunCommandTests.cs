using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using KQuant.Cli.Commands;
using KQuant.Codecs.Files;
using KQuant.Metal;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.TestKit;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant run</c>, <c>chat</c>, <c>logits</c> and <c>perplexity</c> on the trained models.</summary>
public class RunCommandTests
{
    private static readonly JsonElement Reference =
        JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("reference", "tiny-dense.json"))).RootElement.GetProperty("prompts")[0];

    private static string Text => Reference.GetProperty("text").GetString()!;

    [Test]
    public void RawPrintsTheContinuationAlone()
    {
        CliResult result = Cli.Run("run", "--model", TestModels.TinyDense, "--prompt", Text, "--raw", "--ignore-eos", "--temp", "0").MustSucceed();
        Assert.That(result.Output, Is.EqualTo(Reference.GetProperty("greedy_text").GetString() + "\n"));
    }

    [Test]
    public void AGgufGivesTheSameText()
    {
        using var folder = new TemporaryFolder();
        string gguf = folder["model.gguf"];
        Cli.Quantize(TestModels.TinyDense, "bf16", gguf).MustSucceed();
        CliResult result = Cli.Run("run", "--model", gguf, "--prompt", Text, "--raw", "--ignore-eos", "--temp", "0").MustSucceed();
        Assert.That(result.Output, Is.EqualTo(Reference.GetProperty("greedy_text").GetString() + "\n"));
    }

    /// <summary>A penalty that is given is for the tokens that the model's makers penalize, and for the last twenty where they penalize none.</summary>
    [TestCase("""{"repetition_penalty":1.1}""", int.MaxValue)]
    [TestCase("""{"repetition_penalty":1.0}""", 20)]
    [TestCase("{}", 20)]
    public void PenaltiesAreForTheTokensOfTheMakers(string json, int tokens)
    {
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(TestModels.TinyDense))
        {
            File.Copy(file, folder[Path.GetFileName(file)]);
        }

        File.WriteAllText(folder["generation_config.json"], json);
        using LanguageModel model = LanguageModel.Load(folder.Path);
        var arguments = new SamplingArguments();
        var command = new Command("run");
        arguments.AddTo(command);
        foreach (string option in (string[])["--repetition-penalty", "--presence-penalty", "--frequency-penalty"])
        {
            SamplingOptions read = arguments.Read(command.Parse([option, "1.5"]), model);
            Assert.That((read.PenaltyContext, read.RepetitionPenalty + read.PresencePenalty + read.FrequencyPenalty >= 1.5f), Is.EqualTo((tokens, true)), option);
        }

        Assert.That(arguments.Read(command.Parse([]), model), Is.EqualTo(model.DefaultSampling));
    }

    [Test]
    public void StatisticsFollowTheText()
    {
        CliResult result = Cli.Run("run", "--model", TestModels.TinyMoe, "--prompt", "Hello", "--max-tokens", "3", "--temp", "1", "--seed", "1").MustSucceed();
        string[] lines = result.Output.TrimEnd().Split('\n');
        Assert.That(lines[0], Is.EqualTo("=========="));
        Assert.That(lines[^4], Does.Match(@"^Prompt: \d+ tokens, [\d.]+ tokens-per-sec, compilation included$"));
        Assert.That(lines[^3], Does.Match(@"^Generation: \d tokens, ([\d.]+|-) tokens-per-sec, compilation included$"));
        Assert.That(lines[^2], Does.Match(@"^Peak memory: [\d.]+ GB$"));
        Assert.That(lines[^1], Does.Match(@"^Kernels: cpu \(\w+\) for bf16, \d+ threads$"));
    }

    [Test]
    public void ADeviceThatIsNotThereIsSaid()
    {
        if (MetalBackend.IsSupported)
        {
            Assert.Ignore("This machine has a Metal device.");
        }

        string[] arguments = ["run", "--model", TestModels.TinyDense, "--prompt", Text, "--max-tokens", "2", "--temp", "0", "--device"];
        Cli.Run([.. arguments, "metal"]).MustFail("--device is 'metal', but this machine has no Metal device.");
        Assert.That(Cli.Run([.. arguments, "auto"]).MustSucceed().Output, Does.Match(@"Kernels: cpu \("));
        Cli.Run([.. arguments, "cuda"]).MustFail("--device is 'cpu' or 'metal' or 'auto', not 'cuda'.", exitCode: 2);
    }

    [Test]
    public void LogitsAreTheReference([Values(".safetensors", ".npy")] string extension)
    {
        using var folder = new TemporaryFolder();
        string file = folder["logits" + extension];
        int[] ids = [.. Reference.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt32())];
        Cli.Run("logits", "--model", TestModels.TinyDense, "--ids", string.Join(',', ids), "-o", file).MustSucceed();
        using ModelSource model = ModelSource.Open(file);
        ModelTensor tensor = model.Tensors.Single(candidate => candidate.Shape.Length == 2);
        using SafetensorsFile reference = SafetensorsFile.Open(RepositoryFiles.Fixture("reference", "tiny-dense.safetensors"));
        Assert.That(reference.TryGet("prompt0.logits", out SafetensorsTensor? expected), Is.True);
        var actual = new float[ids.Length * 2048];
        tensor.ReadRows(0, actual);
        ReadOnlySpan<float> values = MemoryMarshal.Cast<byte, float>(expected!.UnsafeGetBytes(0, (int)expected.ByteCount));
        Assert.That(actual, Is.EqualTo(values.ToArray()).Within(2e-4));
    }

    [Test]
    public void PerplexityAgainstItselfFindsNoDifference()
    {
        using var folder = new TemporaryFolder();
        string text = folder.Write("text.txt", string.Concat(Enumerable.Repeat(Reference.GetProperty("greedy_text").GetString() + "\n", 4)));
        JsonElement json = Cli.Run(
            "perplexity", "--model", TestModels.TinyDense, "--file", text, "--ctx", "64", "--stride", "32", "--against", TestModels.TinyDense, "--json")
            .MustSucceed().Json;
        Assert.That(json.GetProperty("perplexity").GetDouble(), Is.InRange(1, 40));
        Assert.That(json.GetProperty("predicted_tokens").GetInt64(), Is.EqualTo(64 + (32 * (json.GetProperty("windows").GetInt32() - 1))));
        JsonElement comparison = json.GetProperty("comparison");
        Assert.That(comparison.GetProperty("mean_divergence").GetDouble(), Is.Zero.Within(1e-7));
        Assert.That(comparison.GetProperty("same_top").GetDouble(), Is.EqualTo(1));
    }

    /// <summary>The model that it is compared with keeps keys and values as they are, so that what is found is what the blocks cost.</summary>
    [Test]
    public void PerplexityFindsWhatACacheOfBlocksCosts()
    {
        using var folder = new TemporaryFolder();
        string text = folder.Write("text.txt", string.Concat(Enumerable.Repeat(Reference.GetProperty("greedy_text").GetString() + "\n", 4)));
        string[] common = ["perplexity", "--model", TestModels.TinyDense, "--file", text, "--ctx", "64", "--against", TestModels.TinyDense, "--json"];
        double[] divergences = [.. new string[][] { ["--kv", "q8_0"], ["--kv", "q4_0", "--kv-k", "q8_0"], ["--kv", "q4_0"] }.Select(kinds =>
            Cli.Run([.. common, .. kinds]).MustSucceed().Json.GetProperty("comparison").GetProperty("mean_divergence").GetDouble())];
        Assert.That(divergences, Is.Ordered.Ascending.And.All.InRange(1e-7, 0.5));
    }

    [Test]
    public void KindsOfCachesAreSaidByName()
    {
        foreach (string option in (string[])["--kv", "--kv-k", "--kv-v"])
        {
            Cli.Run("run", "--model", TestModels.TinyDense, option, "q3_k").MustFail($"{option} is 'f32' or 'f16' or ", exitCode: 2);
            Cli.Run("run", "--model", TestModels.TinyDense, option, "q3_k").MustFail("or 'qjl', not 'q3_k'.", exitCode: 2);
        }

        Cli.Run("run", "--model", TestModels.TinyDense, "--kv-k", "f16", "--kv-rotate").MustFail(
            "--kv-rotate rotates what is remembered in blocks, such as q4_0, not f16 and f32.", exitCode: 2);
        Cli.Run("run", "--model", TestModels.TinyDense, "--prompt", "It is", "--max-tokens", "2", "--kv", "Q4_0", "--kv-v", "iq4_nl", "--kv-rotate").MustSucceed();
        Cli.Run("run", "--model", TestModels.TinyDense, "--prompt", "It is", "--max-tokens", "2", "--kv", "turboquant_prod4", "--kv-v", "polar").MustSucceed();
    }

    [Test]
    public void BadInputIsOneSentence()
    {
        using var folder = new TemporaryFolder();
        string broken = folder.Write("text.txt", [0x61, 0xff, 0x62]);
        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", broken).MustFail("not valid UTF-8 at byte 1");
        Cli.Run("perplexity", "--model", TestModels.TinyDense, "--file", folder["none"]).MustFail("there is no such file");
        Cli.Run("run", "--model", folder["none"]).MustFail("there is no such file or folder");
        Cli.Run("run", "--model", TestModels.TinyDense, "--context", "2", "--prompt", "one two three four").MustFail("the context holds 2");
        Cli.Run("run", "--model", TestModels.TinyDense, "--chat-template-config", "[1]").MustFail("no JSON object", exitCode: 2);
        Cli.Run("run", "--model", TestModels.TinyDense, "--top-p", "7").MustFail("--top-p is a number from 0 to 1", exitCode: 2);
        Cli.Run("logits", "--model", TestModels.TinyDense, "--ids", "1,x", "-o", folder["l.npy"]).MustFail("'x'", exitCode: 2);
        Cli.Run("logits", "--model", TestModels.TinyDense, "-o", folder["l.npy"]).MustFail("either --prompt or --ids", exitCode: 2);
    }
}
