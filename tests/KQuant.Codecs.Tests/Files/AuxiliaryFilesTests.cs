using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

public class AuxiliaryFilesTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void EverythingButWeightsIsFound()
    {
        string[] kept =
        [
            "LICENSE", "README.md", "added_tokens.json", "chat_template.jinja", "generation_config.json", "merges.txt", "modeling_x.py",
            "preprocessor_config.json", "qwen.tiktoken", "special_tokens_map.json", "spiece.model", "templates/tool.jinja",
            "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
        ];
        string[] left =
        [
            "config.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
            "pytorch_model.bin.index.json", "consolidated.00.pth", "x.gguf", ".gitattributes", ".cache/huggingface/x.json",
            "onnx/model.onnx",
        ];
        foreach (string name in kept.Concat(left))
        {
            _folder.Write(name, "x");
        }

        AuxiliaryFiles found = AuxiliaryFiles.Find(_folder.Path);

        Assert.That(found.Files.Select(file => file.RelativePath), Is.EqualTo(kept));
        Assert.That(found.Files.Select(file => File.ReadAllText(file.FullPath)), Is.All.EqualTo("x"));
        Assert.That(found.Skipped, Is.Empty);
    }

    [Test]
    public void LinksOutOfTheFolderAreSkipped()
    {
        _folder.Write("secret/key.txt", "x");
        _folder.Write("model/inside.txt", "x");
        Link("model/absolute.txt", _folder["secret/key.txt"]);
        Link("model/relative.txt", "../secret/key.txt");
        Link("model/folder", "../secret");
        Link("model/dangling.txt", "none.txt");
        Link("model/.through", "../secret");
        Link("model/hidden.txt", ".through/key.txt");
        Link("model/fine.txt", "inside.txt");

        AuxiliaryFiles found = AuxiliaryFiles.Find(_folder["model"]);

        Assert.That(found.Files.Select(file => file.RelativePath), Is.EqualTo(["fine.txt", "inside.txt"]));
        Assert.That(
            found.Skipped.Select(file => file.RelativePath),
            Is.EquivalentTo(["absolute.txt", "dangling.txt", "folder", "hidden.txt", "relative.txt"]));
    }

    [Test]
    public void SnapshotOfTheHubCacheIsFollowedIntoItsBlobs()
    {
        _folder.Write("models--a--b/blobs/0123", "x");
        _folder.Write("models--a--c/blobs/4567", "x");
        Link("models--a--b/snapshots/main/tokenizer.json", "../../blobs/0123");
        Link("models--a--b/snapshots/main/other.json", "../../../models--a--c/blobs/4567");

        AuxiliaryFiles found = AuxiliaryFiles.Find(_folder["models--a--b/snapshots/main"]);

        Assert.That(found.Files.Select(file => file.RelativePath), Is.EqualTo(["tokenizer.json"]));
        Assert.That(found.Skipped.Select(file => file.RelativePath), Is.EqualTo(["other.json"]));
    }

    [Test]
    public void CirclesOfLinksEnd()
    {
        Link("model/a.txt", "b.txt");
        Link("model/b.txt", "a.txt");
        Link("model/loop", ".");

        Assert.That(() => AuxiliaryFiles.Find(_folder["model"]), Throws.TypeOf<IOException>());
    }

    private void Link(string name, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[name])!);
        File.CreateSymbolicLink(_folder[name], target);
    }
}
