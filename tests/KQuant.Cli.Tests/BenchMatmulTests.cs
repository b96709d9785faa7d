using System.Text.Json;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant bench matmul</c>: what it prints and how it ends. How fast anything is is not tested.</summary>
public class BenchMatmulTests
{
    private static readonly string[] Small = ["bench", "matmul", "--n", "1000", "--k", "4096", "--rotate", "0", "--rounds", "1"];

    [Test]
    public void ReportsEveryCombination([Values] bool prepacked)
    {
        CliResult result = Cli.Run(
        [
            .. Small, "--codec", "q6_k", "--codec", "f16", "--m", "1", "--m", "9", "--threads", "2", "--json",
            .. prepacked ? ["--prepacked"] : Array.Empty<string>(),
        ]).MustSucceed();

        using JsonDocument report = JsonDocument.Parse(result.Output);
        JsonElement[] speeds = report.RootElement.Items("speeds");
        Assert.Multiple(() =>
        {
            Assert.That(
                speeds.Select(speed => $"{speed.Text("codec")} {speed.Int("threads")} {speed.Int("m")}"),
                Is.EqualTo(["q6_k 2 1", "q6_k 2 9", "f16 2 1", "f16 2 9"]));
            Assert.That(report.RootElement.Flag("packed"), Is.EqualTo(prepacked));
            Assert.That((report.RootElement.Int("n"), report.RootElement.Int("k")), Is.EqualTo((1000, 4096)));
            foreach (string figure in (string[])["microseconds", "gflops", "weight_gbps", "memory_gbps", "of_memory"])
            {
                Assert.That(speeds.Select(speed => speed.Number(figure)), Is.All.Positive, figure);
            }

            foreach (JsonElement speed in speeds)
            {
                double operations = 2.0 * speed.Int("m") * 1000 * 4096;
                Assert.That(speed.Number("gflops"), Is.EqualTo(operations / speed.Number("microseconds") / 1e3).Within(0.1).Percent);
            }
        });
    }

    [Test]
    public void PrintsAlignedTextWhereNobodyLooks()
    {
        CliResult result = Cli.Run([.. Small, "--m", "2", "--threads", "1", "--tier", "scalar"]).MustSucceed();

        string[] lines = result.Output.TrimEnd().Split('\n');
        Assert.That(lines[3], Does.StartWith("y[M, 1000] = x[M, 4096] W^T. "));
        Assert.That(lines[4], Does.Match("^codec +kernel +threads +M +us +GFLOP/s +of chain +GB/s +of memory$"));
        Assert.That(lines[5], Does.Match(@"^q4_k +q4_k Scalar scalar +1 +2 +\d+ +[\d.]+ +- +[\d.]+ +\d+ %$"));
        Assert.That(lines[^1], Does.Match(@"^q4_k memory +1 +[\d.]+ GB/s$"));
    }

    [Test]
    public void OptionsReachTheContext()
    {
        CliResult result = Cli.Run(
            [.. Small, "--m", "1", "--threads", "1", "--deterministic", "--activations", "f32", "--json"]).MustSucceed();

        using JsonDocument report = JsonDocument.Parse(result.Output);
        Assert.That(report.RootElement.Flag("deterministic"), Is.True);
        Assert.That(report.RootElement.Text("activations"), Is.EqualTo("Float32"));
        Assert.That(report.RootElement.Items("speeds").Single().Text("kernel"), Does.EndWith(" float"));
    }

    [TestCase("--m is a number from 1 to 65536.", "--m", "0")]
    [TestCase("--threads is a number from 1 to 1024.", "--threads", "two")]
    [TestCase("--activations is 'int8' or 'f32', not 'int4'.", "--activations", "int4")]
    public void WrongUsageIsTwo(string message, string option, string value)
    {
        CliResult result = Cli.Run("bench", "matmul", "--rounds", "1", option, value);

        Assert.That(result.Error, Does.Contain(message));
        Assert.That(result.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void ImpossibleShapesFail()
    {
        CliResult result = Cli.Run("bench", "matmul", "--k", "100");

        Assert.That(result.Error, Does.Contain("100"));
        Assert.That(result.ExitCode, Is.EqualTo(1));
    }
}
