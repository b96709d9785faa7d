using System.Globalization;
using System.Text;

namespace KQuant.Cli.Tests.Repository;

/// <summary>docs/architecture.md has the folders and their arrows as they are, and no new circle of folders comes about.</summary>
public class FolderTests
{
    private static readonly Folders All = Folders.Read();

    /// <summary>Circles that are there, with the reason. Any smaller circle among their folders is allowed.</summary>
    private static readonly (string[] Folders, string Reason)[] Allowed =
    [
        (["Codecs", "Codecs/Blocks", "Codecs/Decoding", "Codecs/Encoders", "Codecs/Encoders/Lanes", "Codecs/Scheduling", "Codecs/Files", "Codecs/Files/Checkpoint",
            "Codecs/Files/Gguf", "Codecs/Files/Numpy", "Codecs/Files/Output", "Codecs/Files/Safetensors", "Codecs/Planes"],
            "`QuantCodec.All`, `DecodeKernels.All` and `EncodeKernels.All` name every block and kernel, which name the root's formats; a block has its file type of GGUF; "
            + "`ModelSource.Open` names the reader of each kind of file, and all of them throw through `Throw`; a checkpoint is made of safetensors, and "
            + "a folder that is written is checked as one that is read"),
    ];

    [Test]
    public void TheTableOfArchitectureIsTrue()
    {
        var table = new StringBuilder("| folder | files | uses |\n|---|---:|---|\n");
        foreach ((string folder, int files) in All.Files)
        {
            string uses = string.Join(", ", All.Uses[folder].Select(Folders.ShortName));
            table.Append(CultureInfo.InvariantCulture, $"| {Folders.ShortName(folder)} | {files} | {uses} |\n");
        }

        KeptText.CheckSection("docs/architecture.md", "folders", table.ToString());
    }

    [Test]
    public void TheCirclesOfArchitectureAreNamed() => KeptText.CheckSection(
        "docs/architecture.md",
        "circles",
        "| circle | why |\n|---|---|\n" + string.Concat(Allowed.Select(circle => $"| {string.Join(", ", circle.Folders)} | {circle.Reason} |\n")));

    [Test]
    public void EveryFolderOfAKnownCircleIsInOne() => Assert.That(
        Allowed.SelectMany(circle => circle.Folders).Except(All.Circles().SelectMany(circle => circle.Select(Folders.ShortName))), Is.Empty);

    [Test]
    public void FoldersFormNoCircleButTheseKnown() => Assert.That(
        All.Circles().Select(circle => circle.Select(Folders.ShortName).ToArray())
            .Where(circle => !Allowed.Any(known => circle.All(known.Folders.Contains)))
            .Select(circle => string.Join(", ", circle)),
        Is.Empty);

    [Test]
    public void ArrowsAreFound()
    {
        Assert.That(All.Uses["src/KQuant.Matmul"], Does.Contain("src/KQuant.Codecs"), "a mention of a type is an arrow");
        Assert.That(All.Uses.Where(folder => folder.Key.StartsWith("src/KQuant.Codecs", StringComparison.Ordinal)).SelectMany(folder => folder.Value),
            Has.All.StartsWith("src/KQuant.Codecs"), "Codecs knows nobody");
    }
}
