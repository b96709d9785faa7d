using System.Reflection;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Repository;

/// <summary>Who may know whom: nothing below knows who is above it.</summary>
public class ArchitectureTests
{
    private static readonly string[] Packages = ["CommunityToolkit.HighPerformance", "Microsoft.Extensions.AI.Abstractions", "System.Numerics.Tensors"];

    private static readonly Dictionary<string, string[]> Below = new()
    {
        ["KQuant.Codecs"] = [],
        ["KQuant.Matmul"] = ["KQuant.Codecs"],
        ["KQuant.Metal"] = ["KQuant.Codecs", "KQuant.Matmul"],
        ["KQuant.Models"] = ["KQuant.Codecs", "KQuant.Matmul"],
        ["KQuant.Server"] = ["KQuant.Codecs", "KQuant.Matmul", "KQuant.Models"],
        ["kquant"] = ["KQuant.Codecs", "KQuant.Matmul", "KQuant.Metal", "KQuant.Models", "KQuant.Server"],
    };

    [Test]
    public void AssembliesKnowOnlyThoseBelow([Values("KQuant.Codecs", "KQuant.Matmul", "KQuant.Metal", "KQuant.Models", "KQuant.Server", "kquant")] string name) => Assert.That(
        References(name).Where(reference => reference.StartsWith("KQuant", StringComparison.OrdinalIgnoreCase)),
        Is.SubsetOf(Below[name]));

    [Test]
    public void PackagesNeedOnlyWhatTheyDeclare([Values("KQuant.Codecs", "KQuant.Matmul", "KQuant.Metal", "KQuant.Models")] string name) => Assert.That(
        References(name).Where(reference => !Below[name].Contains(reference) && !reference.StartsWith("System.", StringComparison.Ordinal)),
        Is.SubsetOf(Packages));

    [Test]
    public void TheServerNeedsTheFrameworkOfServersAlone() => Assert.That(
        References("KQuant.Server").Where(reference => !Below["KQuant.Server"].Contains(reference) && !Packages.Contains(reference)),
        Has.All.Matches(@"^(System|Microsoft\.AspNetCore|Microsoft\.Extensions)\."));

    [Test]
    public void NothingNativeIsShipped() => Assert.That(
        Directory.EnumerateFiles(Path.Combine(RepositoryFiles.Root, "src"), "*.csproj", SearchOption.AllDirectories)
            .Where(project => File.ReadAllText(project).Contains("runtimes/", StringComparison.Ordinal)),
        Is.Empty);

    [Test]
    public void EveryProjectIsInTheTable() => Assert.That(
        Directory.EnumerateFiles(Path.Combine(RepositoryFiles.Root, "src"), "*.csproj", SearchOption.AllDirectories).Select(Path.GetFileNameWithoutExtension),
        Is.SubsetOf(Below.Keys));

    private static IEnumerable<string> References(string name) =>
        Assembly.Load(name).GetReferencedAssemblies().Select(reference => reference.Name!);
}
