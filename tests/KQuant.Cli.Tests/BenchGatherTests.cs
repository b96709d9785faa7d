using System.Text.Json;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant bench gather</c>: what it prints and how it ends. How fast anything is is not tested.</summary>
public class BenchGatherTests
{
    private static readonly string[] Small = ["bench", "gather", "--experts", "4", "--rows", "40", "--columns", "256", "--top", "2", "--rounds", "1"];

    [Test]
    public async Task ReportsEveryCombination([Values] bool prepacked)
    {
        (int exitCode, string output, string error) = await Run(
        [
            .. Small, "--codec", "q4_k", "--codec", "bf16", "--tokens", "1", "--tokens", "9", "--threads", "2", "--json", .. prepacked ? ["--prepacked"] : Array.Empty<string>(),
        ]);

        Assert.That(exitCode, Is.Zero, error);
        using JsonDocument report = JsonDocument.Parse(output);
        JsonElement[] speeds = [.. report.RootElement.GetProperty("speeds").EnumerateArray()];
        Assert.Multiple(() =>
        {
            Assert.That(
                speeds.Select(speed => $"{speed.GetProperty("codec")} {speed.GetProperty("threads")} {speed.GetProperty("tokens")}"),
                Is.EqualTo(["q4_k 2 1", "q4_k 2 9", "bf16 2 1", "bf16 2 9"]));
            Assert.That(report.RootElement.GetProperty("packed").GetBoolean(), Is.EqualTo(prepacked));
            foreach (string figure in (string[])["microseconds", "gflops", "expert_gbps", "dense_gflops"])
            {
                Assert.That(speeds.Select(speed => speed.GetProperty(figure).GetDouble()), Is.All.Positive, figure);
            }
        });
    }

    [Test]
    public async Task PrintsAlignedTextWhereNobodyLooks()
    {
        (int exitCode, string output, string error) = await Run([.. Small, "--tokens", "3", "--threads", "1", "--tier", "scalar"]);

        Assert.That(exitCode, Is.Zero, error);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.That(lines[^2], Does.Match("^codec +kernel +threads +tokens +us +GFLOP/s +GB/s +dense +of dense$"));
        Assert.That(lines[^1], Does.Match(@"^q4_k +q4_k Scalar scalar +1 +3 +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+ %$"));
    }

    [TestCase("--top is 65; there are 64 experts.", "--top", "65")]
    [TestCase("--tokens is a number from 1 to 65536.", "--tokens", "0")]
    [TestCase("--threads is a number from 1 to 1024.", "--threads", "two")]
    [TestCase("--experts is a number from 1 to 65536.", "--experts", "0")]
    public async Task WrongUsageIsTwo(string message, string option, string value)
    {
        (int exitCode, _, string error) = await Run(["bench", "gather", "--rounds", "1", option, value]);

        Assert.That(error, Does.Contain(message));
        Assert.That(exitCode, Is.EqualTo(2));
    }

    [Test]
    public async Task ANumberTwiceIsWrongUsage()
    {
        (int exitCode, _, string error) = await Run([.. Small, "--top", "2"]);

        Assert.That(error, Does.Contain("--top"));
        Assert.That(exitCode, Is.EqualTo(2));
    }

    [Test]
    public async Task ImpossibleShapesFail()
    {
        (int exitCode, _, string error) = await Run(["bench", "gather", "--columns", "100"]);

        Assert.That(error, Does.Contain("100"));
        Assert.That(exitCode, Is.EqualTo(1));
    }

    private static async Task<(int ExitCode, string Output, string Error)> Run(string[] args)
    {
        var output = new StringWriter();
        var error = new StringWriter();
        int exitCode = await KQuantCommand.RunAsync(args, output, error);
        return (exitCode, output.ToString(), error.ToString());
    }
}
