using System.Diagnostics;
using System.Text;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Files of the reference implementation of safetensors, byte for byte, and what it reads and refuses.</summary>
public class SafetensorsReferenceTests
{
    private static readonly Dictionary<string, string> None = [];

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void OneTensor() => AssertBytes(
        64, "{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}", None, ("attn.0", ElementType.F32, [1, 2, 3], new byte[24]));

    [Test]
    public void ATypeOfHalfAByte() => AssertBytes(
        64, "{\"attn.0\":{\"dtype\":\"F4\",\"shape\":[1,2],\"data_offsets\":[0,1]}}", None, ("attn.0", ElementType.F4, [1, 2], new byte[1]));

    [Test]
    public void NothingAtAll() => AssertBytes(8, "{}", None);

    [Test]
    public void MetadataAlone() => AssertBytes(40, "{\"__metadata__\":{\"framework\":\"pt\"}}", new() { ["framework"] = "pt" });

    [Test]
    public void AHeaderThatIsMadeLongerForTheAlignment() => AssertBytes(
        72, "{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}", None, ("attn0", ElementType.F32, [1, 1, 2, 3], new byte[24]));

    [Test]
    public void ASubByteTensorThatEndsInsideAByteIsRefused() =>
        Assert.That(() => new SafetensorsWriter().Add("a", ElementType.F4, [1, 3], _ => { }), Throws.ArgumentException.With.Message.Contains("no size in bytes"));

    [TestCase("  ")]
    [TestCase("\n\t ")]
    public void WhitespaceBeforeAHeaderIsTolerated(string space)
    {
        string path = _folder.Write("a.safetensors", SafetensorsBytes.Build(space + "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}" + space, [7, 8]));
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.That(file.Tensors[0].UnsafeGetBytes(0, 2).ToArray(), Is.EqualTo([7, 8]));
    }

    [Test]
    public void AHeaderOver100MegabytesIsNotWritten()
    {
        var writer = new SafetensorsWriter { Metadata = new Dictionary<string, string> { ["text"] = new('x', 100_000_001) } };
        writer.Add("a", ElementType.U8, [1], new byte[1]);
        Assert.That(() => writer.Write(_folder["a.safetensors"]), Throws.InstanceOf<Exception>().With.Message.Contains("100"));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void AHundredThousandTensorsOnTheSameBytesAreRefusedQuickly()
    {
        var header = new StringBuilder("{");
        for (int i = 0; i < 100_000; i++)
        {
            header.Append(i == 0 ? "" : ",").Append($"\"t{i}\":{{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}");
        }

        string path = _folder.Write("a.safetensors", SafetensorsBytes.Build(header.Append('}').ToString(), new byte[8]));
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => SafetensorsFile.Open(path), Throws.TypeOf<ModelFormatException>().With.Message.Contains("'t"));

        // Were every pair compared, it would be five thousand million comparisons.
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - allocated, Is.LessThan(100L << 20));
        TestContext.Out.WriteLine($"{(Process.GetCurrentProcess().TotalProcessorTime - before).TotalMilliseconds:F0} ms");
    }

    [Test]
    public void AFileMayBeRewrittenWhileItIsMapped()
    {
        string path = _folder["a.safetensors"];
        Write([1, 2, 3]);
        using SafetensorsFile old = SafetensorsFile.Open(path);
        Write([4, 5, 6, 7]);
        using SafetensorsFile changed = SafetensorsFile.Open(path);
        Assert.That(old.Tensors[0].UnsafeGetBytes(0, 3).ToArray(), Is.EqualTo([1, 2, 3]), "who has it open keeps it");
        Assert.That(changed.Tensors[0].UnsafeGetBytes(0, 4).ToArray(), Is.EqualTo([4, 5, 6, 7]));

        void Write(byte[] data)
        {
            var writer = new SafetensorsWriter();
            writer.Add("a", ElementType.U8, [data.Length], data);
            writer.Write(path);
        }
    }

    private void AssertBytes(int headerLength, string header, Dictionary<string, string> metadata, params (string Name, ElementType Type, long[] Shape, byte[] Data)[] tensors)
    {
        byte[] expected = SafetensorsBytes.Build(header.PadRight(headerLength), tensors.SelectMany(tensor => tensor.Data).ToArray());
        var writer = new SafetensorsWriter { Metadata = metadata };
        foreach ((string name, ElementType type, long[] shape, byte[] data) in tensors)
        {
            writer.Add(name, type, shape, data);
        }

        writer.Write(_folder["a.safetensors"]);
        Assert.That(File.ReadAllBytes(_folder["a.safetensors"]), Is.EqualTo(expected));
        using SafetensorsFile file = SafetensorsFile.Open(_folder["a.safetensors"]);
        Assert.That(file.Tensors.Select(tensor => (tensor.Name, tensor.ElementType)), Is.EqualTo(tensors.Select(tensor => (tensor.Name, tensor.Type))));
        Assert.That(file.Metadata, Is.EquivalentTo(metadata));
    }
}
