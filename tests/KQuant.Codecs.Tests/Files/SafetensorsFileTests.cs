using System.Runtime.InteropServices;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

public class SafetensorsFileTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void FloatsAreWeights()
    {
        float[] values = [1, -2, 3.5f, 4, 5, 6];
        using SafetensorsFile file = Open(
            ("odd", "U8", [3], [1, 2, 3]),
            ("f32", "F32", [2, 3], Bytes(values)),
            ("f16", "F16", [2, 1, 3], Bytes([.. values.Select(v => (Half)v)])),
            ("bf16", "BF16", [6], Bytes([.. values.Select(v => (BFloat16)v)])),
            ("scalar", "F32", [], Bytes([7f])),
            ("four", "F32", [2, 1, 1, 3], Bytes(values)));
        using (Assert.EnterMultipleScope())
        {
            Check("f32", new QuantShape(2, 3), values);
            Check("f16", QuantShape.Stack(2, 1, 3), values);
            Check("bf16", new QuantShape(1, 6), values);
            Check("scalar", new QuantShape(1, 1), [7]);
            Check("four", QuantShape.Stack(2, 1, 3), values);
        }

        void Check(string name, QuantShape shape, float[] expected)
        {
            QuantizedTensor tensor = file.GetTensor(name);
            var actual = new float[expected.Length];
            for (int row = 0; row < shape.TotalRows; row++)
            {
                tensor.DecodeRow(row, actual.AsSpan(row * shape.Columns, shape.Columns));
            }

            Assert.That(tensor.Shape, Is.EqualTo(shape), name);
            Assert.That(actual, Is.EqualTo(expected), name);
        }
    }

    [Test]
    public void IntegersAreBytesButNoWeights()
    {
        using SafetensorsFile file = Open(("ids", "I64", [2], Bytes([3L, 4L])));

        NotSupportedException problem = Assert.Throws<NotSupportedException>(() => file.GetTensor("ids"))!;

        Assert.That(problem.Message, Does.Contain("'ids'").And.Contain("I64"));
        Assert.That(file.Tensors[0].UnsafeGetBytes(8, 8).ToArray(), Is.EqualTo(Bytes([4L])));
    }

    [Test]
    public void UnknownNamesAndRangesAreArgumentErrors()
    {
        using SafetensorsFile file = Open(("w", "F32", [2], new byte[8]));
        using (Assert.EnterMultipleScope())
        {
            Assert.Throws<KeyNotFoundException>(() => file.GetTensor("v"));
            Assert.That(file.TryGet("v", out _), Is.False);
            Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].UnsafeGetBytes(1, 8));
            Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].UnsafeGetBytes(-1, 1));
            Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors[0].UnsafeGetBytes(long.MaxValue, 1));
        }
    }

    [Test]
    public void ViewsEndWithTheFile()
    {
        SafetensorsFile file = Open(("w", "F32", [2], new byte[8]));
        QuantizedTensor view = file.GetTensor("w");
        file.Dispose();

        Assert.Throws<ObjectDisposedException>(() => view.UnsafeGetRowBytes(0));
        Assert.Throws<ObjectDisposedException>(() => file.Tensors[0].UnsafeGetBytes(0, 8));
    }

    [Test]
    public void MissingPathsAreInputOutputErrors()
    {
        Assert.Throws<FileNotFoundException>(() => SafetensorsFile.Open(_folder["none.safetensors"]));
        Assert.Throws<DirectoryNotFoundException>(() => SafetensorsFile.Open(_folder["none/none.safetensors"]));
        Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(_folder.Path));
    }

    [Test]
    public void FolderPrefersTheIndexThenTheSingleFile()
    {
        Shard("model-00001-of-00002.safetensors", "a");
        Shard("model-00002-of-00002.safetensors", "b");
        Assert.That(Names(_folder.Path), Is.EqualTo(["a", "b"]), "all shards");

        Shard("model.safetensors", "single");
        Assert.That(Names(_folder.Path), Is.EqualTo(["single"]));

        Index(("b", "model-00002-of-00002.safetensors"), ("a", "model-00001-of-00002.safetensors"));
        Assert.That(Names(_folder.Path), Is.EqualTo(["a", "b"]), "index");
        Assert.That(Names(_folder[SafetensorsFile.IndexName]), Is.EqualTo(["a", "b"]), "index by name");
    }

    [Test]
    public void ShardsWithoutIndexMustBeComplete()
    {
        Shard("model-00001-of-00003.safetensors", "a");
        Shard("model-00003-of-00003.safetensors", "c");

        Assert.That(
            () => SafetensorsFile.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains("model-00001-of-00003"));
    }

    [Test]
    public void SameNameInTwoShardsIsRefused()
    {
        Shard("model-00001-of-00002.safetensors", "a");
        Shard("model-00002-of-00002.safetensors", "a");

        Assert.That(
            () => SafetensorsFile.Open(_folder.Path),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("twice").And.Message.Contains("model-00001"));
    }

    [TestCase("../outside.safetensors")]
    [TestCase("..\\\\outside.safetensors")]
    [TestCase("sub/inside.safetensors")]
    [TestCase("./model.safetensors")]
    [TestCase("/etc/outside.safetensors")]
    [TestCase("C:outside.safetensors")]
    [TestCase("C:\\\\outside.safetensors")]
    [TestCase("file:///outside.safetensors")]
    [TestCase("..")]
    [TestCase(".")]
    [TestCase("")]
    [TestCase(".hidden.safetensors")]
    [TestCase("model.bin")]
    [TestCase("a\\u0000.safetensors")]
    [TestCase("model.safetensors\\n.safetensors")]
    public void IndexThatLeavesTheFolderIsRefused(string shard)
    {
        Shard("model.safetensors", "a");
        Shard("sub/inside.safetensors", "a");
        _folder.Write("../" + Path.GetFileName(_folder.Path) + "-outside.safetensors", "x");
        try
        {
            _folder.Write(SafetensorsFile.IndexName, $"{{\"weight_map\":{{\"a\":\"{shard}\"}}}}");

            Assert.That(
                () => SafetensorsFile.Open(_folder.Path),
                Throws.TypeOf<ModelFormatException>().With.Message.Contains("not the plain name"));
        }
        finally
        {
            File.Delete(_folder["../" + Path.GetFileName(_folder.Path) + "-outside.safetensors"]);
        }
    }

    [TestCase("{\"a\":\"model.safetensors\",\"b\":\"model.safetensors\"}", "'b'", TestName = "TensorMissingInShard")]
    [TestCase("{\"a\":\"model.safetensors\",\"a\":\"model.safetensors\",\"x\":\"other.safetensors\"}", "twice", TestName = "EntryTwice")]
    [TestCase("{\"a\":\"other.safetensors\",\"x\":\"other.safetensors\"}", "'a'", TestName = "TensorInAnotherShard")]
    [TestCase("{\"x\":\"other.safetensors\"}", "does not list", TestName = "TensorNotListed")]
    [TestCase("{\"a\":\"none.safetensors\",\"x\":\"other.safetensors\"}", "missing", TestName = "ShardMissing")]
    [TestCase("{\"a\":1}", "no string", TestName = "ShardIsANumber")]
    [TestCase("[]", "no object", TestName = "MapIsAnArray")]
    [TestCase("{}", "empty", TestName = "MapIsEmpty")]
    [TestCase("{},\"weight_map\":{}", "twice", TestName = "MapTwice")]
    [TestCase("{\"\\ud800\":\"model.safetensors\"}", "JSON", TestName = "LoneSurrogate")]
    [TestCase("{\"a\":\"model.safetensors\"", "JSON", TestName = "NotClosed")]
    public void IndexThatContradictsTheShardsIsRefused(string map, string message)
    {
        Shard("model.safetensors", "a");
        _folder.Write("other.safetensors", SafetensorsBytes.Build(("x", "U8", [1], [1]), ("y", "U8", [1], [1])));
        _folder.Write(SafetensorsFile.IndexName, $"{{\"metadata\":{{\"total_size\":1}},\"weight_map\":{map}}}");

        Assert.That(() => SafetensorsFile.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));
    }

    [Test]
    public void LinkedShardsAreFollowed()
    {
        // The cache of the Hugging Face hub is made of such links.
        string blob = _folder.Write("blobs/0123", SafetensorsBytes.Build(("a", "U8", [1], [1])));
        Directory.CreateDirectory(_folder["snapshot"]);
        File.CreateSymbolicLink(_folder["snapshot/model.safetensors"], blob);

        Assert.That(Names(_folder["snapshot"]), Is.EqualTo(["a"]));
    }

    [Test]
    public void TensorsAndFilesMayExceed4Gigabytes()
    {
        const long Large = 4_300_000_000;
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("A file of 8 GiB is not sparse by itself here.");
        }

        string header = $"{{\"large\":{{\"dtype\":\"U8\",\"shape\":[{Large}],\"data_offsets\":[0,{Large}]}},"
            + $"\"rows\":{{\"dtype\":\"F16\",\"shape\":[{Large / 200},100],\"data_offsets\":[{Large},{2 * Large}]}},"
            + $"\"small\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{2 * Large},{(2 * Large) + 4}]}}}}";
        byte[] start = SafetensorsBytes.Build(header, []);
        string path = _folder["sparse.safetensors"];
        try
        {
            using FileStream stream = File.Create(path);
            stream.Write(start);
            stream.Seek(Large - 1, SeekOrigin.Current);
            stream.WriteByte(42);
            stream.Seek(Large - 200, SeekOrigin.Current);
            stream.Write(Bytes([.. Enumerable.Repeat((Half)3, 100)]));
            stream.Write(Bytes([1.5f]));
        }
        catch (IOException exception)
        {
            Assert.Ignore($"This file system does not take a sparse file of 8 GiB: {exception.Message}");
        }

        using SafetensorsFile file = SafetensorsFile.Open(path);
        var row = new float[100];
        file.GetTensor("rows").DecodeRow((Large / 200) - 1, row);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Tensors[0].UnsafeGetBytes(Large - 2, 2).ToArray(), Is.EqualTo(new byte[] { 0, 42 }));
            Assert.That(row, Is.All.EqualTo(3));
            Assert.That(file.GetTensor("rows").ByteCount, Is.EqualTo(Large));
            Assert.That(MemoryMarshal.Read<float>(file.GetTensor("small").UnsafeGetRowBytes(0)), Is.EqualTo(1.5f));
            Assert.That(file.Tensors[2].Offset, Is.EqualTo(start.Length + (2 * Large)));
        }
    }

    private static byte[] Bytes<T>(T[] values)
        where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    private static string[] Names(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return [.. file.Tensors.Select(tensor => tensor.Name)];
    }

    private SafetensorsFile Open(params (string Name, string Type, long[] Shape, byte[] Data)[] tensors) =>
        SafetensorsFile.Open(_folder.Write("test.safetensors", SafetensorsBytes.Build(tensors)));

    private void Shard(string name, string tensor) => _folder.Write(name, SafetensorsBytes.Build((tensor, "U8", [1], [1])));

    private void Index(params (string Tensor, string Shard)[] entries) => _folder.Write(
        SafetensorsFile.IndexName,
        $"{{\"weight_map\":{{{string.Join(",", entries.Select(entry => $"\"{entry.Tensor}\":\"{entry.Shard}\""))}}}}}");
}
