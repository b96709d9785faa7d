using System.Diagnostics;

namespace KQuant.Metal.Tests.Emulation;

/// <summary>A compiler of this machine.</summary>
internal sealed class Tool(string path)
{
    /// <summary>The first of some programs that is there; null if none is.</summary>
    public static Tool? Find(params ReadOnlySpan<string> names)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        foreach (string name in names)
        {
            foreach (string folder in folders)
            {
                if (File.Exists(Path.Combine(folder, name)))
                {
                    return new Tool(Path.Combine(folder, name));
                }
            }
        }

        return null;
    }

    /// <summary>Runs it.</summary>
    /// <returns>What it said; empty if it succeeded.</returns>
    public string Run(string folder, params IEnumerable<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(path, arguments) { WorkingDirectory = folder, RedirectStandardError = true })!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? "" : $"{path} {string.Join(' ', arguments)}\n{errors}";
    }
}
