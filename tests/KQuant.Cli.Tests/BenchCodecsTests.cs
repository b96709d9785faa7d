using System.Diagnostics;
using System.Text.Json;
using KQuant.Codecs;

namespace KQuant.Cli.Tests;

/// <summary><c>kquant bench codecs</c>: what it prints and how it ends. How fast anything is is not tested.</summary>
public class BenchCodecsTests
{
    [Test]
    public async Task ReportsEveryDecoderThatTheMachineRuns()
    {
        (int exitCode, string output, string error) =
            await Run("bench", "codecs", "--decode", "--codec", "q4_k", "--codec", "f32", "--rounds", "1", "--json");

        Assert.That(exitCode, Is.Zero, error);
        using JsonDocument report = JsonDocument.Parse(output);
        JsonElement[] decode = report.RootElement.Items("decode");
        string[] expected =
        [
            .. from tier in (KernelTier[])[KernelTier.Scalar, KernelTier.Portable, KernelTier.Avx2, KernelTier.Avx512]
               where KernelTiers.IsSupported(tier)
               select $"q4_k {tier}",
            "f32 Scalar",
        ];
        Assert.Multiple(() =>
        {
            Assert.That(decode.Select(entry => $"{entry.GetProperty("codec")} {entry.GetProperty("tier")}"), Is.EqualTo(expected));
            Assert.That(decode.Select(entry => entry.Number("cached_gbps")), Is.All.Positive);
            Assert.That(decode.Select(entry => entry.Number("streaming_gbps")), Is.All.Positive);
            Assert.That(report.RootElement.Text("processor"), Is.Not.Empty);
            Assert.That(report.RootElement.IsNull("encode"));
        });
    }

    [Test]
    public async Task PrintsAlignedTextWhereNobodyLooks()
    {
        (int exitCode, string output, string error) =
            await Run("bench", "codecs", "--decode", "--codec", "q8_0", "--tier", "scalar", "--rounds", "1");

        Assert.That(exitCode, Is.Zero, error);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.That(lines[^2], Does.Match(@"^codec  tier +cached  streaming$"));
        Assert.That(lines[^1], Does.Match(@"^q8_0   Scalar( +\*)? +[\d.]+ +[\d.]+$"));
    }

    [Test]
    public async Task ReportsEveryEncoderThatTheMachineRuns()
    {
        (int exitCode, string output, string error) = await Run("bench", "codecs", "--encode", "--codec", "q4_0", "--rounds", "1", "--json");

        Assert.That(exitCode, Is.Zero, error);
        using JsonDocument report = JsonDocument.Parse(output);
        JsonElement[] encode = report.RootElement.Items("encode");
        Assert.Multiple(() =>
        {
            Assert.That(
                encode.Select(entry => entry.Text("tier")),
                Is.EqualTo(
                    from tier in (KernelTier[])[KernelTier.Scalar, KernelTier.Portable, KernelTier.Avx2, KernelTier.Avx512]
                    where KernelTiers.IsSupported(tier)
                    select tier.ToString()));
            Assert.That(
                from entry in encode
                where entry.Flag("in_use")
                select entry.Text("tier"),
                Is.EqualTo([$"{QuantCodec.Get(QuantFormat.Q4_0).EncodeTier}"]));
            Assert.That(encode.SelectMany(entry => (double[])[entry.Number("reference"), entry.Number("importance"), entry.Number("best")]), Is.All.Positive);
            Assert.That(report.RootElement.IsNull("decode"));
        });
    }

    [Test]
    public void TheEnvironmentCapsWhatTheLibraryUses()
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "kquant.exe" : "kquant"))
        {
            ArgumentList = { "bench", "codecs", "--decode", "--codec", "q4_0", "--rounds", "1", "--json" },
            Environment = { [KernelTiers.MaxTierVariable] = "Scalar" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();

        Assert.That(process.ExitCode, Is.Zero);
        using JsonDocument report = JsonDocument.Parse(output);
        Assert.That(
            from entry in report.RootElement.Items("decode")
            where entry.Flag("in_use")
            select entry.Text("tier"),
            Is.EqualTo(["Scalar"]));
    }

    [TestCase("codecs")]
    [TestCase("bench", "matmul", "--codec", "q4_0", "--rounds", "1")]
    [TestCase("inspect", "--model", "nothing")]
    public void AnEnvironmentThatNamesNoTierIsOneSentence(params string[] args)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "kquant.exe" : "kquant"), args)
        {
            Environment = { [KernelTiers.MaxTierVariable] = "Avx3" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd(), error = process.StandardError.ReadToEnd();
        process.WaitForExit();

        Assert.Multiple(() =>
        {
            Assert.That(process.ExitCode, Is.EqualTo(ExitCode.Failed));
            Assert.That(output, Is.Empty);
            Assert.That(
                error.TrimEnd(),
                Is.EqualTo("error: KQUANT_MAX_TIER is 'Avx3'; it must be one of Scalar, Portable, Avx2, AvxVnni, Avx512, Neon, NeonDot."));
        });
    }

    [TestCase("'q9_9' is no codec; the codecs are q2_k, q3_k, ", "bench", "codecs", "--codec", "q9_9")]
    [TestCase("'sse' is no tier; the tiers are Scalar, Portable, ", "bench", "codecs", "--tier", "sse")]
    [TestCase("--rounds is a number from 1 to 10000.", "bench", "codecs", "--rounds", "0")]
    [TestCase("Required command was not provided.", "bench")]
    [TestCase("--loud", "bench", "codecs", "--loud")]
    public async Task WrongUsageIsTwo(string message, params string[] args)
    {
        (int exitCode, string output, string error) = await Run(args);
        Assert.Multiple(() =>
        {
            Assert.That(exitCode, Is.EqualTo(2));
            Assert.That(error, Does.Contain(message));
            Assert.That(output, Is.Empty);
        });
    }

    [Test]
    public async Task ATierThatTheMachineLacksIsAFailure()
    {
        KernelTier missing = KernelTiers.All.ToArray().FirstOrDefault(tier => !KernelTiers.IsSupported(tier));
        (int exitCode, _, string error) = await Run("bench", "codecs", "--decode", "--tier", $"{missing}");
        Assert.Multiple(() =>
        {
            Assert.That(exitCode, Is.EqualTo(1));
            Assert.That(error.TrimEnd(), Is.EqualTo($"error: This machine, as configured, does not run {missing}."));
        });
    }

    [Test]
    public async Task ATierWithoutDecoderIsAFailure()
    {
        if (!KernelTiers.IsSupported(KernelTier.AvxVnni))
        {
            Assert.Ignore("This machine, as configured, has no AvxVnni.");
        }

        (int exitCode, _, string error) = await Run("bench", "codecs", "--decode", "--tier", "AvxVnni", "--codec", "q4_0");
        Assert.Multiple(() =>
        {
            Assert.That(exitCode, Is.EqualTo(1));
            Assert.That(error.TrimEnd(), Is.EqualTo("error: No decoder of q4_0 is written for AvxVnni."));
        });
    }

    [Test]
    public async Task AnInterruptionIs130()
    {
        using var source = new CancellationTokenSource();
        await source.CancelAsync();
        using var output = new StringWriter();
        using var error = new StringWriter();
        int exitCode = await KQuantCommand.RunAsync(["bench", "codecs", "--decode"], output, error, cancellationToken: source.Token);
        Assert.Multiple(() =>
        {
            Assert.That(exitCode, Is.EqualTo(130));
            Assert.That(output.ToString(), Is.Empty);
        });
    }

    private static async Task<(int ExitCode, string Output, string Error)> Run(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int exitCode = await KQuantCommand.RunAsync(args, output, error);
        return (exitCode, output.ToString(), error.ToString());
    }
}
