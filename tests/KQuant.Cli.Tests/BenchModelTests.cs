using System.Text.Json;

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
            Assert.That(speeds.Select(speed => speed.GetProperty("prompt_tokens_per_second").GetDouble()), Is.All.Positive);
            Assert.That(speeds.Select(speed => speed.GetProperty("tokens_per_second").GetDouble()), Is.All.Positive);
        });
    }

    [Test]
    public void PrintsAlignedTextWhereNobodyLooks()
    {
        string[] lines = Cli.Run([.. Small, "--threads", "1"]).MustSucceed().Output.TrimEnd().Split('\n');
        Assert.That(lines[1], Does.Contain("compilation is not included"));
        Assert.That(lines[^2], Does.Match("^kernels +threads +prompt +tokens +GB/s$"));
        Assert.That(lines[^1], Does.Match(@"^\w+ +1 +[\d.]+ +[\d.]+ +[\d.]+$"));
    }

    [Test]
    public void ATextLongerThanTheContextFails() =>
        Cli.Run("bench", "model", "--model", TestModels.TinyDense, "--prompt-tokens", "511").MustFail("575");
}
