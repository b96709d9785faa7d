using System.Diagnostics;

namespace KQuant.Cli.Tests;

/// <summary>Runs the built <c>kquant</c> as a process of its own.</summary>
internal static class CliProcess
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>The executable beside the tests.</summary>
    public static string Path { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "kquant.exe" : "kquant");

    /// <summary>Starts it with its streams redirected.</summary>
    public static Process Start(string? workingFolder, params string[] args)
    {
        var start = new ProcessStartInfo(Path, args)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingFolder ?? "",
        };
        return Process.Start(start)!;
    }

    /// <summary>Starts it with something to read.</summary>
    public static Process StartWithInput(params string[] args) => Process.Start(new ProcessStartInfo(Path, args)
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    })!;

    /// <summary>Runs it to its end.</summary>
    public static CliResult Run(params string[] args)
    {
        using Process process = Start(null, args);
        return Finish(process);
    }

    /// <summary>Waits for the end and takes what it wrote.</summary>
    public static CliResult Finish(Process process)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = process.StandardError.ReadToEnd();
        Assert.That(process.WaitForExit(Patience), "the process does not end");
        return new CliResult(process.ExitCode, output.GetAwaiter().GetResult(), error);
    }
}
