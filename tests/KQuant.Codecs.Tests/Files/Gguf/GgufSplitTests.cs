using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Models in several files, as gguf-split makes them.</summary>
public class GgufSplitTests
{
    [Test]
    public void TheFirstPartOpensAllAndLooksLikeOneFile()
    {
        using var folder = new TemporaryFolder();
        string first = WriteParts(folder, 3);
        using GgufFile file = GgufFile.Open(first);

        Assert.That(
            file.Files.Select(Path.GetFileName),
            Is.EqualTo((string[])["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]));
        Assert.That(file.Tensors.Select(tensor => tensor.Name), Is.EqualTo((string[])["t0", "u0", "t1", "u1", "t2", "u2"]));
        Assert.That(file.Metadata.Keys, Is.EqualTo((string[])["general.architecture"]));
        var row = new float[2];
        file.GetTensor("u2").DecodeRow(0, row);
        Assert.That(row, Is.EqualTo((float[])[2, 20]));
        Assert.That(file.Tensors[5].FilePath, Does.EndWith("m-00003-of-00003.gguf"));
        Assert.That(file.Length, Is.EqualTo(Directory.GetFiles(folder.Path).Sum(path => new FileInfo(path).Length)));
    }

    [Test]
    public void MergingGivesOneFile()
    {
        using var folder = new TemporaryFolder();
        using GgufFile split = GgufFile.Open(WriteParts(folder, 2));
        var writer = new GgufWriter(split.Metadata);
        foreach (GgufTensor tensor in split.Tensors)
        {
            writer.Add(tensor);
        }

        writer.Write(folder["merged.gguf"]);

        using GgufFile merged = GgufFile.Open(folder["merged.gguf"]);
        Assert.That(merged.Files, Has.Count.EqualTo(1));
        Assert.That(merged.Tensors.Select(tensor => tensor.Name), Is.EqualTo(split.Tensors.Select(tensor => tensor.Name)));
        Assert.That(merged.Tensors[3].UnsafeGetBytes().SequenceEqual(split.Tensors[3].UnsafeGetBytes()));
    }

    [Test]
    public void OneOfOneIsAnOrdinaryFile()
    {
        using var folder = new TemporaryFolder();
        using GgufFile file = GgufFile.Open(folder.Write("any.gguf", Part(0, 1).ToArray()));
        Assert.That(file.Tensors, Has.Count.EqualTo(2));
    }

    [Test]
    public void AMissingPartIsNamed()
    {
        using var folder = new TemporaryFolder();
        string first = WriteParts(folder, 3);
        File.Delete(folder["m-00002-of-00003.gguf"]);
        AssertRefused(first, "part 2 of 3 is missing: m-00002-of-00003.gguf");
    }

    [Test]
    public void AnotherPartThanTheFirstIsRefused()
    {
        using var folder = new TemporaryFolder();
        WriteParts(folder, 3);
        AssertRefused(folder["m-00002-of-00003.gguf"], "'split.no' is 1; 0 was expected; open the first part");
    }

    [Test]
    public void APartUnderAnotherNameIsRefused()
    {
        using var folder = new TemporaryFolder();
        File.Move(WriteParts(folder, 3), folder["renamed.gguf"]);
        AssertRefused(folder["renamed.gguf"], "should end in '-00001-of-00003.gguf'");
    }

    [Test]
    public void PartsThatDisagreeAreRefused()
    {
        using var folder = new TemporaryFolder();
        string first = WriteParts(folder, 3);
        string second = folder["m-00002-of-00003.gguf"];

        File.WriteAllBytes(second, Part(2, 3, tensors: 1).ToArray());
        AssertRefused(first, "m-00002-of-00003.gguf: key 'split.no' is 2; 1 was expected");
        File.WriteAllBytes(second, Part(1, 4).ToArray());
        AssertRefused(first, "key 'split.count' is 4; the first part has 3");
        File.WriteAllBytes(second, new GgufBytes().Tensor("x", 1).ToArray());
        AssertRefused(first, "key 'split.no' is missing");
        File.WriteAllBytes(second, Part(1, 3, name: 0).ToArray());
        AssertRefused(first, "the name occurs twice (also in ");
        File.WriteAllBytes(second, Part(1, 3, tensors: 1).ToArray());
        AssertRefused(first, "'split.tensors.count' is 6; all parts together have 5");
        File.WriteAllText(second, "no GGUF");
        AssertRefused(first, "m-00002-of-00003.gguf at byte 0");
    }

    [TestCase(-1)]
    [TestCase(100_000)]
    public void AnAbsurdNumberOfPartsIsRefused(int count)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("m-00001-of-00003.gguf", new GgufBytes().Key("split.no", 0).Key("split.count", count).ToArray());
        AssertRefused(path, $"'split.count' is {count}");
    }

    [Test]
    public void NothingStaysOpenAfterARefusal()
    {
        using var folder = new TemporaryFolder();
        string first = WriteParts(folder, 3);
        File.WriteAllText(folder["m-00003-of-00003.gguf"], "");
        AssertRefused(first, "m-00003-of-00003.gguf");
        Assert.That(() => File.Open(first, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose(), Throws.Nothing);
    }

    private static void AssertRefused(string path, string message) =>
        Assert.That(() => GgufFile.Open(path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));

    private static string WriteParts(TemporaryFolder folder, int count)
    {
        for (int i = 0; i < count; i++)
        {
            folder.Write($"m-{i + 1:00000}-of-{count:00000}.gguf", Part(i, count).ToArray());
        }

        return folder[$"m-00001-of-{count:00000}.gguf"];
    }

    private static GgufBytes Part(int number, int count, int tensors = 2, int? name = null)
    {
        var part = new GgufBytes();
        if (number == 0)
        {
            part.Key("general.architecture", "test");
        }

        part.Key("split.no", (ushort)number).Key("split.count", (ushort)count).Key("split.tensors.count", 2 * count);
        part.Tensor($"t{name ?? number}", 1, 2, 3);
        return tensors > 1 ? part.Tensor($"u{name ?? number}", number, 10 * number) : part;
    }
}
