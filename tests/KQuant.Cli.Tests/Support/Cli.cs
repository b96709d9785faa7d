using System.Text;
using System.Text.Json;

namespace KQuant.Cli.Tests;

/// <summary>What a command line came to.</summary>
internal sealed record CliResult(int ExitCode, string Output, string Error)
{
    /// <summary>The output as JSON.</summary>
    public JsonElement Json => JsonDocument.Parse(Output).RootElement;

    /// <summary>The error stream without the lines that show progress.</summary>
    public string[] Messages =>
        [.. Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => !line.Contains(" %  ", StringComparison.Ordinal))];

    /// <summary>Fails the test unless the command did what it was asked.</summary>
    public CliResult MustSucceed()
    {
        Assert.That(ExitCode, Is.Zero, Error);
        Assert.That(Messages, Is.Empty);
        return this;
    }

    /// <summary>Fails the test unless the command failed with one sentence.</summary>
    public CliResult MustFail(string message, int exitCode = 1)
    {
        Assert.Multiple(() =>
        {
            Assert.That(ExitCode, Is.EqualTo(exitCode));
            Assert.That(Messages, exitCode == 1 ? Has.Length.EqualTo(1) : Is.Not.Empty);
            Assert.That(Messages.FirstOrDefault(), Does.StartWith("error: ").And.Contains(message));
        });
        return this;
    }
}

/// <summary>Runs command lines inside the test process: the same as the real thing but for the process around it.</summary>
internal static class Cli
{
    public static CliResult Run(params string[] args) => RunWith((byte[]?)null, args);

    /// <summary>A command line with a standard input.</summary>
    public static CliResult RunWith(string input, params string[] args) => RunWith(Encoding.UTF8.GetBytes(input), args);

    /// <summary>A command line with bytes as its standard input; null for none.</summary>
    public static CliResult RunWith(byte[]? input, params string[] args)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        int exitCode = KQuantCommand.RunAsync(args, output, error, input is null ? null : new MemoryStream(input)).GetAwaiter().GetResult();
        return new CliResult(exitCode, output.ToString(), error.ToString());
    }

    /// <summary><c>kquant quantize</c> with what it must be told, and more.</summary>
    public static CliResult Quantize(string model, string codec, string output, params string[] more) =>
        Run(["quantize", "--model", model, "--kquant-type", codec, "--output", output, .. more]);

    /// <summary><c>kquant dequantize</c>.</summary>
    public static CliResult Dequantize(string model, string output, params string[] more) =>
        Run(["dequantize", "--model", model, "--output", output, .. more]);

    /// <summary><c>kquant verify</c>.</summary>
    public static CliResult Verify(string model, params string[] more) => Run(["verify", "--model", model, .. more]);

    /// <summary><c>kquant inspect</c>.</summary>
    public static CliResult Inspect(string model, params string[] more) => Run(["inspect", "--model", model, .. more]);
}
