using System.Text.RegularExpressions;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Repository;

/// <summary>
/// Texts of the repository that follow from the code: the public API, parts of the README. A test compares them; with
/// <c>KQUANT_UPDATE_DOCS=1</c> in the environment it writes them anew instead.
/// </summary>
internal static partial class KeptText
{
    private const string UpdateVariable = "KQUANT_UPDATE_DOCS";

    private static bool Updates => Environment.GetEnvironmentVariable(UpdateVariable) == "1";

    [GeneratedRegex(@"[ ]*#region \w+\n(?<body>.*?)\n[ ]*#endregion", RegexOptions.Singleline)]
    private static partial Regex Region { get; }

    /// <summary>Reads a text file of the repository.</summary>
    public static string Read(string path) => File.ReadAllText(Path.Combine(RepositoryFiles.Root, path)).ReplaceLineEndings("\n");

    /// <summary>Compares a whole file.</summary>
    public static void Check(string path, string expected)
    {
        string full = Path.Combine(RepositoryFiles.Root, path);
        if (Updates)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            File.WriteAllText(full, expected);
        }

        Assert.That(File.Exists(full) ? Read(path) : "", Is.EqualTo(expected), $"{path} is out of date; {UpdateVariable}=1 writes it anew");
    }

    /// <summary>Compares what stands between <c>&lt;!-- begin NAME --&gt;</c> and <c>&lt;!-- end NAME --&gt;</c>.</summary>
    public static void CheckSection(string path, string name, string expected)
    {
        string text = Read(path), begin = $"<!-- begin {name} -->\n", end = $"<!-- end {name} -->";
        int from = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length, to = text.IndexOf(end, StringComparison.Ordinal);
        Assert.That(from >= begin.Length && to >= from, $"{path} has no section {name}");
        if (Updates)
        {
            File.WriteAllText(Path.Combine(RepositoryFiles.Root, path), text[..from] + expected + text[to..]);
            return;
        }

        Assert.That(text[from..to], Is.EqualTo(expected), $"section {name} of {path} is out of date; {UpdateVariable}=1 writes it anew");
    }

    /// <summary>The fenced blocks of a language in a Markdown file.</summary>
    public static IEnumerable<string> Fences(string path, string language)
    {
        string[] parts = Read(path).Split($"```{language}\n");
        return parts.Skip(1).Select(part => part[..part.IndexOf("```", StringComparison.Ordinal)]);
    }

    /// <summary>What stands in the regions of a C# file.</summary>
    public static IEnumerable<string> Regions(string path) => Region.Matches(Read(path)).Select(match => match.Groups["body"].Value);
}
