using System.Globalization;
using System.Text;

namespace KQuant.Cli.Tests.Repository;

/// <summary>docs/architecture.md has the folders and their arrows as they are, and no new circle of folders comes about.</summary>
public class FolderTests
{
    private static readonly Folders All = Folders.Read();

    /// <summary>Circles that are there, as the folders that may take part, with the reason. Any smaller circle among them is allowed.</summary>
    private static readonly (string[] Folders, string Reason)[] Allowed =
    [
        (["Codecs", "Codecs/Blocks", "Codecs/Decoding", "Codecs/Encoders", "Codecs/Scheduling", "Codecs/Files", "Codecs/Files/Checkpoint",
            "Codecs/Files/Gguf", "Codecs/Files/Numpy", "Codecs/Files/Output", "Codecs/Files/Safetensors"],
            "the root's tables name the blocks and kernels, which name the root's formats; what opens or writes files of any kind names the readers, which share its exceptions"),
        (["Models/Tokenizers", "Models/Tokenizers/Added", "Models/Tokenizers/Decoding", "Models/Tokenizers/Loading", "Models/Tokenizers/Merging",
            "Models/Tokenizers/Normalization", "Models/Tokenizers/Splitting"],
            "a tokenizer is made of its parts, which share its buffers"),
        (["Models", "Models/Generation", "Models/Transformers", "Models/Weights"],
            "LanguageModel is made of the parts, which take its options; ModelTensorNames is public and names the weights"),
        (["Models/Templates", "Models/Templates/Jinja"], "a template's error is thrown by the interpreter"),
        (["Metal", "Metal/ObjC"], "the exception is the package's own"),
        (["Cli", "Cli/Benchmarks", "Cli/Benchmarks/Limits", "Cli/Chat", "Cli/Commands", "Cli/Rendering", "Cli/Reports"],
            "the root puts the verbs together, and verbs end with its exceptions"),
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
