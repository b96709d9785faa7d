using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace KQuant.Cli.Tests.Repository;

/// <summary>What was packed, where <c>KQUANT_PACKAGES</c> names the folder of the packages; <c>.ci/run</c> packs and then runs these.</summary>
public class PackageTests
{
    private const string Variable = "KQUANT_PACKAGES";
    private static readonly string[] Names = ["KQuant.Codecs", "KQuant.Matmul", "KQuant.Metal", "KQuant.Models", "KQuant.Server", "KQuant.Cli"];

    private string _folder = "";

    [SetUp]
    public void FindPackages()
    {
        _folder = Environment.GetEnvironmentVariable(Variable) ?? "";
        if (_folder.Length == 0)
        {
            Assert.Ignore($"{Variable} is not set; it names a folder of packed packages.");
        }
    }

    [Test]
    public void SiblingsAreAskedForExactly([Values("KQuant.Matmul", "KQuant.Metal", "KQuant.Models", "KQuant.Server")] string name)
    {
        XElement[] siblings = [.. Metadata(name).Descendants().Where(element =>
            element.Name.LocalName == "dependency" && element.Attribute("id")!.Value.StartsWith("KQuant.", StringComparison.Ordinal))];
        Assert.That(siblings, Is.Not.Empty);
        Assert.That(siblings.Select(element => element.Attribute("version")!.Value), Has.All.EqualTo($"[{Value(name, "version")}]"));
    }

    [Test]
    public void APageSaysWhatThePackageIs([ValueSource(nameof(Names))] string name)
    {
        Assert.That(Value(name, "projectUrl"), Does.StartWith("https://"));
        Assert.That(Metadata(name).Elements().Single(element => element.Name.LocalName == "repository").Attribute("url")!.Value, Does.StartWith("https://"));
        using ZipArchive package = Open(name);
        Assert.That(package.GetEntry(Value(name, "icon")), Is.Not.Null);
        using var reader = new StreamReader(package.GetEntry(Value(name, "readme"))!.Open());
        string readme = reader.ReadToEnd();
        Assert.That(readme, Does.StartWith($"# {(name == "KQuant.Cli" ? "kquant" : name)}\n"), "a text of its own");
        Assert.That(Regex.Matches(readme, @"\]\((?<target>[^)]+)\)").Select(match => match.Groups["target"].Value), Has.All.StartsWith("https://"));
    }

    [Test]
    public void CodecsBringsTheInstructionSetOfProgramsCompiledAhead()
    {
        using ZipArchive package = Open("KQuant.Codecs");
        Assert.That(package.GetEntry("buildTransitive/KQuant.Codecs.targets"), Is.Not.Null);
    }

    private ZipArchive Open(string name) => ZipFile.OpenRead(
        Directory.GetFiles(_folder, name + ".*.nupkg").Single(path => Regex.IsMatch(Path.GetFileName(path), $@"^{Regex.Escape(name)}\.\d")));

    private XElement Metadata(string name)
    {
        using ZipArchive package = Open(name);
        using Stream stream = package.GetEntry(name + ".nuspec")!.Open();
        return XDocument.Load(stream).Root!.Elements().Single(element => element.Name.LocalName == "metadata");
    }

    private string Value(string name, string element) => Metadata(name).Elements().Single(item => item.Name.LocalName == element).Value;
}
