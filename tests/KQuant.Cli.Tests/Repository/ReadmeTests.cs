using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Models.Configuration;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Repository;

/// <summary>The README is true: its commands run, its snippets are compiled code, its tables are the assembly's.</summary>
public partial class ReadmeTests
{
    private const string Readme = "README.md";
    private const string Snippets = "tests/KQuant.Cli.Tests/Repository/ReadmeSnippets.cs";

    private static readonly string[][] Verbs =
    [
        ["quantize"], ["dequantize"], ["inspect"], ["verify"], ["run"], ["chat"], ["serve"], ["perplexity"], ["compare"], ["logits"], ["tokenize"],
        ["template"], ["imatrix", "calibrate"], ["imatrix", "merge"], ["imatrix", "stats"], ["imatrix", "convert"], ["calibrate-imatrix"], ["lora", "info"], ["lora", "convert"], ["lora", "fuse"],
        ["tensor", "encode"], ["tensor", "decode"], ["tensor", "diff"], ["codecs"], ["kv", "bench"], ["kv", "compare"], ["bench", "codecs"], ["bench", "gather"], ["bench", "limits"],
        ["bench", "matmul"], ["bench", "model"],
    ];

    [GeneratedRegex(@"^using [\w.]+;\n", RegexOptions.Multiline)]
    private static partial Regex Using { get; }

    [Test]
    public void BeginsWithTheTwoCommands()
    {
        string[] commands = Commands();
        Assert.That(commands[1], Is.EqualTo("dotnet test -c Release"));
        Assert.That(KeptText.Read(".ci/run"), Does.Contain(commands[1]), "the gates run it");
        Assert.That(commands[0], Does.StartWith("dotnet run -c Release --project tools/KQuant.Cli -- quantize ").And.Contain(" --overwrite"));
    }

    [Test]
    public void TheFirstCommandRunsAndPrintsWhatTheReadmeShows()
    {
        const string Program = "dotnet run -c Release --project tools/KQuant.Cli -- ";
        using var folder = new TemporaryFolder();
        string[] args = [.. Commands()[0][Program.Length..].Split(' ').Select(arg => arg.StartsWith("out/", StringComparison.Ordinal) ? folder["out"] : arg)];
        using Process process = CliProcess.Start(RepositoryFiles.Root, args);
        CliResult result = CliProcess.Finish(process);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        string[] table = [.. result.Output.Split('\n').Where(line => line.Length > 0 && !line.StartsWith("Wrote", StringComparison.Ordinal))];
        Assert.That(table, Has.Length.EqualTo(4));
        Assert.That(KeptText.Fences(Readme, "text").First(), Does.StartWith(string.Concat(table.Select(line => line + "\n")) + "Wrote out/"));
    }

    [Test]
    public void EverySnippetIsCompiledAndTested()
    {
        string source = KeptText.Read(Snippets);
        string[] regions = [.. KeptText.Regions(Snippets).Select(Outdent)];
        var bodies = new List<string>();
        foreach (string snippet in KeptText.Fences(Readme, "csharp"))
        {
            foreach (Match line in Using.Matches(snippet))
            {
                Assert.That(source, Does.Contain("\n" + line.Value).Or.StartsWith(line.Value));
            }

            bodies.Add(Using.Replace(snippet, "").Trim('\n'));
        }

        Assert.That(bodies, Is.EqualTo(regions));
    }

    [Test]
    public void TheCodecTableIsTheAssemblys()
    {
        var table = new StringBuilder();
        table.Append("| codec | GGML type | weights per block | bytes per block | bits per weight |\n|---|---|---|---|---|\n");
        foreach (QuantCodec codec in QuantCodec.All)
        {
            string bits = codec.BitsPerWeight.ToString("0.####", CultureInfo.InvariantCulture);
            table.Append(CultureInfo.InvariantCulture, $"| `{codec.Name}` | {(int?)codec.Format} | {codec.WeightsPerBlock} | {codec.BytesPerBlock} | {bits} |\n");
        }

        KeptText.CheckSection(Readme, "codecs", table.ToString());
    }

    [Test]
    public void TheCommandReferenceIsTheHelp()
    {
        var text = new StringBuilder();
        foreach (string[] verb in Verbs)
        {
            string help = Cli.Run([.. verb, "--help"]).MustSucceed().Output.Replace(RootCommand.ExecutableName, "kquant", StringComparison.Ordinal);
            IEnumerable<string> lines = help.Split('\n').Select(line => line.TrimEnd()).SkipWhile(line => !line.StartsWith("Usage:", StringComparison.Ordinal))
                .Where(line => line.Length > 0 && !line.Contains("--help", StringComparison.Ordinal));
            string description = help.Split('\n')[1].Trim();
            text.Append(CultureInfo.InvariantCulture, $"#### kquant {string.Join(' ', verb)}\n\n{description}\n\n```text\n{string.Join('\n', lines)}\n```\n\n");
        }

        KeptText.CheckSection(Readme, "commands", text.ToString().TrimEnd('\n') + "\n");
    }

    [Test]
    public void TheFamiliesAreThoseOfTheTable()
    {
        Dictionary<string, string> names = new()
        {
            ["llama"] = "Llama 2 and 3",
            ["mistral"] = "Mistral",
            ["mixtral"] = "Mixtral",
            ["qwen2"] = "Qwen2",
            ["qwen3"] = "Qwen3",
            ["qwen3_moe"] = "Qwen3-MoE",
            ["qwen2_moe"] = "Qwen2-MoE",
            ["gemma2"] = "Gemma 2",
            ["gemma3_text"] = " 3 (text)",
            ["phi3"] = "Phi-3 and Phi-4",
            ["gpt_oss"] = "gpt-oss",
            ["glm4"] = "GLM-4",
            ["glm4_moe"] = "GLM-4 MoE",
            ["granite"] = "Granite",
            ["granitemoe"] = "Granite MoE (with ",
            ["granitemoeshared"] = "without a shared expert)",
            ["smollm3"] = "SmolLM3",
        };
        string readme = KeptText.Read(Readme);
        string run = Regex.Match(readme, @"`KQuant.Models` runs (?<list>.*?) from Hugging Face folders").Groups["list"].Value;
        Assert.That(names.Keys, Is.EquivalentTo(Types(FamilySupport.Run)));
        string rest = run;
        foreach (string name in names.Values.OrderByDescending(name => name.Length))
        {
            Assert.That(rest, Does.Contain(name));
            rest = rest.Replace(name, "", StringComparison.Ordinal);
        }

        Assert.That(rest.Replace("and", "", StringComparison.Ordinal).Trim(' ', ','), Is.Empty, "and no others");

        string exported = Regex.Match(readme, @"Model types: (?<list>[^.]*)\.").Groups["list"].Value;
        Assert.That(
            Regex.Matches(exported, "`(?<type>\\w+)`").Select(match => match.Groups["type"].Value),
            Is.EquivalentTo(Types(FamilySupport.Export).Select(type => type.Replace("_text", "", StringComparison.Ordinal))));

        static IEnumerable<string> Types(FamilySupport support) =>
            ModelFamily.All.Where(family => family.Support.HasFlag(support)).Select(family => family.ModelType);
    }

    [Test]
    public void EveryVerbIsInTheReference()
    {
        IEnumerable<string> leaves = KQuantCommand.CreateRoot().Subcommands
            .SelectMany(verb => verb.Subcommands.Count == 0 ? [verb.Name] : verb.Subcommands.Select(part => $"{verb.Name} {part.Name}"));
        Assert.That(Verbs.Select(verb => string.Join(' ', verb)), Is.EquivalentTo(leaves));
    }

    [Test]
    public void LinksLeadSomewhere([Values("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/metal.md", "CHANGELOG.md")] string path)
    {
        string folder = Path.Combine(RepositoryFiles.Root, Path.GetDirectoryName(path)!);
        IEnumerable<string> targets = Regex.Matches(KeptText.Read(path), @"\]\((?!https?:|#)(?<target>[^)#]+)").Select(match => match.Groups["target"].Value);
        Assert.That(targets.Where(target => !Path.Exists(Path.Combine(folder, target))), Is.Empty);
    }

    private static string[] Commands() => KeptText.Fences(Readme, "sh").First().Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static string Outdent(string code)
    {
        string[] lines = code.Split('\n');
        int indent = lines.Where(line => line.Length > 0).Min(line => line.Length - line.TrimStart().Length);
        return string.Join('\n', lines.Select(line => line.Length > 0 ? line[indent..] : line));
    }
}
