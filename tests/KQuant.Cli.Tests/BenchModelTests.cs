using System.Text.Json;
using KQuant.TestKit;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant bench model</c>: what it prints and how it ends. How fast anything is is not tested.</summary>
public class BenchModelTests
{
    private static readonly string[] Small =
        ["bench", "model", "--model", TestModels.TinyDense, "--prompt-tokens", "4", "--tokens", "2", "--rounds", "1"];

    [Test]
    public void ReportsEveryNumberOfThreads()
    {
        JsonElement report = Cli.Run([.. Small, "--threads", "1", "--threads", "2", "--json"]).MustSucceed().Json;
        JsonElement[] speeds = [.. report.GetProperty("speeds").EnumerateArray()];
        Assert.Multiple(() =>
        {
            Assert.That(report.GetProperty("format").GetString(), Is.EqualTo("bf16"));
            Assert.That(speeds.Select(speed => speed.GetProperty("threads").GetInt32()), Is.EqualTo([1, 2]));
            Assert.That(speeds.SelectMany(speed => speed.Items("prompts")).Select(Speed), Is.All.Positive.And.Exactly(2).Items);
            Assert.That(speeds.SelectMany(speed => speed.Items("depths")).Select(Speed), Is.All.Positive.And.Exactly(2).Items);
        });
    }

    [Test]
    public void ReportsEveryLengthAndEveryDepth()
    {
        JsonElement report = Cli.Run(
            [.. Small, "--threads", "1", "--prompt-tokens", "9", "--depth", "0", "--depth", "40", "--depth", "7", "--kv", "f16", "--kv-k", "q8_0", "--kv-v", "q4_0", "--json"])
            .MustSucceed().Json;
        JsonElement speed = report.Items("speeds").Single();
        JsonElement[] prompts = [.. speed.Items("prompts")], depths = [.. speed.Items("depths")];
        Assert.Multiple(() =>
        {
            Assert.That(prompts.Select(entry => entry.GetProperty("tokens").GetInt32()), Is.EqualTo([4, 9]));
            Assert.That(depths.Select(entry => entry.GetProperty("depth").GetInt32()), Is.EqualTo([0, 40, 7]));
            Assert.That(prompts.Concat(depths).Select(Speed), Is.All.Positive);
            Assert.That(
                prompts.Concat(depths).Select(entry => entry.GetProperty("attention_share").GetDouble()),
                Is.All.InRange(0, 1).And.All.Positive);
        });
    }

    [Test]
    public void TheFirstTokenMayBeLeftOut()
    {
        CliResult shown = Cli.Run([.. Small, "--threads", "1", "--no-first-token"]).MustSucceed();
        JsonElement report = Cli.Run([.. Small, "--threads", "1", "--no-first-token", "--json"]).MustSucceed().Json;
        Assert.That(shown.Output, Does.Not.Contain("first token").And.Contain("Prompts into an empty cache"));
        Assert.That(report.Items("speeds").Single().TryGetProperty("first_token", out JsonElement first) && first.ValueKind != JsonValueKind.Null, Is.False);
    }

    [Test]
    public void DepthsAreThePromptsIfNoneIsGiven()
    {
        JsonElement report = Cli.Run([.. Small, "--threads", "1", "--prompt-tokens", "9", "--json"]).MustSucceed().Json;
        Assert.That(
            report.Items("speeds").Single().Items("depths").Select(entry => entry.GetProperty("depth").GetInt32()), Is.EqualTo([4, 9]));
    }

    /// <summary>The other process has the same options, and its steps come one after the other.</summary>
    [TestCase(true)]
    [TestCase(false)]
    public void TheFirstTokenComesFromAFreshProcess(bool hasTokenizer)
    {
        using var folder = new TemporaryFolder();
        string model = TestModels.TinyDense;
        if (!hasTokenizer)
        {
            model = folder["model"];
            Directory.CreateDirectory(model);
            foreach (string file in Directory.GetFiles(TestModels.TinyDense).Where(file => !Path.GetFileName(file).StartsWith("tokenizer", StringComparison.Ordinal)))
            {
                File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
            }
        }

        JsonElement report = Cli.Run(
            "bench", "model", model, "--prompt-tokens", "4", "--tokens", "2", "--rounds", "1", "--threads", "1", "--kv", "bf16",
            "--activations", "f32", "--json").MustSucceed().Json;
        JsonElement first = report.Items("speeds").Single().GetProperty("first_token");
        double started = first.GetProperty("started_seconds").GetDouble(), loaded = first.GetProperty("loaded_seconds").GetDouble();
        Assert.Multiple(() =>
        {
            Assert.That(first.GetProperty("prompt_tokens").GetInt32(), Is.GreaterThan(8));
            Assert.That(started, Is.Positive);
            Assert.That(loaded, Is.GreaterThanOrEqualTo(started));
            Assert.That(first.GetProperty("seconds").GetDouble(), Is.GreaterThanOrEqualTo(loaded));
        });
    }

    [Test]
    public void TheProcessOfTheFirstTokenSaysHowFarItIs() => Assert.That(
        Cli.Run("bench", "model", TestModels.TinyDense, "--first-token", "--threads", "1").MustSucceed().Output.Split('\n'),
        Has.Length.EqualTo(4).And.Some.EqualTo("started").And.Some.EqualTo("loaded").And.Some.StartsWith("token "));

    [Test]
    public void PrintsAlignedTextWhereNobodyLooks()
    {
        string text = Cli.Run([.. Small, "--threads", "1", "--depth", "8"]).MustSucceed().Output;
        Assert.That(text.Split('\n')[1], Does.Contain("compilation is not included"));
        Assert.That(text, Does.Match(@"(?m)^kernels +threads +started +loaded +first token\n\w+ +1 +\d+\.\d{3} +\d+\.\d{3} +\d+\.\d{3}$"));
        Assert.That(text, Does.Match(@"(?m)^kernels +threads +prompt +tok/s +attention\n\w+ +1 +4 +[\d.]+ +[\d.]+ %$"));
        Assert.That(text, Does.Match(@"(?m)^kernels +threads +depth +tok/s +attention +GB/s\n\w+ +1 +8 +[\d.]+ +[\d.]+ % +[\d.]+$"));
    }

    [Test]
    public void ATextLongerThanTheContextFails() =>
        Cli.Run("bench", "model", "--model", TestModels.TinyDense, "--prompt-tokens", "511").MustFail("575");

    [Test]
    public void ADepthBeyondTheContextFails() => Cli.Run([.. Small, "--depth", "511"]).MustFail("513");

    [TestCase("--depth", "-1")]
    [TestCase("--depth", "deep")]
    [TestCase("--prompt-tokens", "0")]
    public void ALengthThatIsNoneFails(string option, string value) => Cli.Run([.. Small, option, value]).MustFail(option, exitCode: 2);

    private static double Speed(JsonElement entry) => entry.GetProperty("tokens_per_second").GetDouble();
}
