using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using KQuant.Codecs.Files;
using KQuant.TestKit;
using PropertyAttribute = FsCheck.NUnit.PropertyAttribute;

namespace KQuant.Codecs.Tests.Files;

public class SafetensorsWriterTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Property(MaxTest = 40, QuietOnSuccess = true)]
    public Property WhatIsWrittenIsRead() => Prop.ForAll(Models().ToArbitrary(), model =>
    {
        using var folder = new TemporaryFolder();
        Declare(model, new SafetensorsWriter { Metadata = model.Metadata }).Write(folder["one.safetensors"]);
        Declare(model, new SafetensorsWriter { Metadata = model.Metadata, MaxShardBytes = model.MaxShardBytes })
            .WriteFolder(folder["many"]);

        Compare(model, folder["one.safetensors"]);
        Compare(model, folder["many"]);
    });

    [Property(MaxTest = 40, QuietOnSuccess = true)]
    public Property TensorsBeginAtMultiplesOfTheirElements() => Prop.ForAll(Models().ToArbitrary(), model =>
    {
        using var folder = new TemporaryFolder();
        Declare(model, new SafetensorsWriter { Metadata = model.Metadata }).Write(folder["one.safetensors"]);
        using SafetensorsFile file = SafetensorsFile.Open(folder["one.safetensors"]);
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            Assert.That(tensor.Offset % Math.Max(1, tensor.ElementType.GetBits() / 8), Is.Zero, tensor.Name);
        }
    });

    [Test]
    public void HeaderIsThatOfTheFormat()
    {
        var writer = new SafetensorsWriter();
        writer.Add("b", ElementType.U8, [3], new byte[] { 1, 2, 3 });
        writer.Add("w\u00e9", ElementType.F32, [1, 2], new byte[8]);
        writer.Write(_folder["x.safetensors"]);

        byte[] bytes = File.ReadAllBytes(_folder["x.safetensors"]);
        const string Header = "{\"__metadata__\":{\"format\":\"mlx\"},"
            + "\"w\u00e9\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
            + "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}}";
        int length = (System.Text.Encoding.UTF8.GetByteCount(Header) + 7) / 8 * 8;
        string padded = Header.PadRight(Header.Length + length - System.Text.Encoding.UTF8.GetByteCount(Header));
        Assert.That(bytes, Is.EqualTo(SafetensorsBytes.Build(padded, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3])));
    }

    [Test]
    public void ShardsAreCutBeforeTheLimitAndIndexed()
    {
        var writer = new SafetensorsWriter { MaxShardBytes = 100, TotalParameters = 7 };
        foreach ((string name, int length) in new[] { ("c", 60), ("a", 40), ("d", 1), ("huge", 300), ("b", 99) })
        {
            writer.Add(name, ElementType.U8, [length], new byte[length]);
        }

        writer.WriteFolder(_folder["out"]);

        Assert.That(
            _folder.Files("out"),
            Is.EqualTo(
            [
                "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors", "model-00003-of-00004.safetensors",
                "model-00004-of-00004.safetensors", "model.safetensors.index.json",
            ]));
        string index = """
            {
                "metadata": {
                    "total_size": 500,
                    "total_parameters": 7
                },
                "weight_map": {
                    "a": "model-00001-of-00004.safetensors",
                    "b": "model-00004-of-00004.safetensors",
                    "c": "model-00001-of-00004.safetensors",
                    "d": "model-00002-of-00004.safetensors",
                    "huge": "model-00003-of-00004.safetensors"
                }
            }
            """;
        Assert.That(File.ReadAllText(_folder["out/model.safetensors.index.json"]), Is.EqualTo(index.ReplaceLineEndings("\n")));
    }

    [Test]
    public void OneShardIsCalledModel()
    {
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [1], new byte[1]);
        writer.WriteFolder(_folder["out"]);

        Assert.That(_folder.Files("out"), Is.EqualTo(["model.safetensors", "model.safetensors.index.json"]));
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(_folder["out/model.safetensors.index.json"]));
        Assert.That(index.RootElement.GetProperty("weight_map").GetProperty("a").GetString(), Is.EqualTo("model.safetensors"));
    }

    [TestCase(9)]
    [TestCase(7)]
    public void WrongNumberOfBytesLeavesNothing(int written)
    {
        var writer = new SafetensorsWriter { MaxShardBytes = 4 };
        writer.Add("a", ElementType.U8, [4], new byte[4]);
        writer.Add("b", ElementType.U8, [8], stream => stream.Write(new byte[written]));

        Assert.That(() => writer.Write(_folder["x.safetensors"]), Throws.InvalidOperationException.With.Message.Contains($"{written}"));
        Assert.That(() => writer.WriteFolder(_folder["out"]), Throws.InvalidOperationException);
        Assert.That(_folder.Files(), Is.Empty);
        Assert.That(Directory.Exists(_folder["out"]), Is.False);
    }

    [Test]
    public void CancelledWriteKeepsTheOldModel()
    {
        _folder.Write("out/model.safetensors", "old");
        using var cancel = new CancellationTokenSource();
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [2], stream =>
        {
            stream.Write(new byte[1]);
            cancel.Cancel();
            stream.Write(new byte[1]);
        });

        Assert.Throws<OperationCanceledException>(
            () => writer.WriteFolder(_folder["out"], overwrite: true, cancellationToken: cancel.Token));
        Assert.That(_folder.Files(), Is.EqualTo(["out/model.safetensors"]));
        Assert.That(File.ReadAllText(_folder["out/model.safetensors"]), Is.EqualTo("old"));
    }

    [Test]
    public void OverwritingRemovesWeightsOfTheOldModelOnly()
    {
        _folder.Write("out/model-00001-of-00002.safetensors", "old");
        _folder.Write("out/model-00002-of-00002.safetensors", "old");
        _folder.Write("out/notes.txt", "mine");
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [1], new byte[1]);

        Assert.That(() => writer.WriteFolder(_folder["out"]), Throws.TypeOf<IOException>().With.Message.Contains("not empty"));
        writer.WriteFolder(_folder["out"], overwrite: true);

        Assert.That(_folder.Files("out"), Is.EqualTo(["model.safetensors", "model.safetensors.index.json", "notes.txt"]));
    }

    [Test]
    public void FileInTheWayOfAFolderIsAnInputOutputError()
    {
        _folder.Write("out", "mine");

        Assert.Throws<IOException>(() => new SafetensorsWriter().WriteFolder(_folder["out"], overwrite: true));
        Assert.That(File.ReadAllText(_folder["out"]), Is.EqualTo("mine"));
    }

    [Test]
    public void EmptyFolderMayBeWrittenTo()
    {
        Directory.CreateDirectory(_folder["out"]);
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [1], new byte[1]);
        writer.WriteFolder(_folder["out"] + Path.DirectorySeparatorChar);

        Assert.That(_folder.Files(), Is.EqualTo(["out/model.safetensors", "out/model.safetensors.index.json"]));
    }

    [Test]
    public void ProgressEndsWithEveryByte()
    {
        var reports = new List<ModelProgress>();
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [9_000_000], stream =>
        {
            for (int i = 0; i < 9; i++)
            {
                stream.Write(new byte[1_000_000]);
            }
        });
        writer.Add("b", ElementType.U8, [5], new byte[5]);
        writer.Write(_folder["x.safetensors"], new Recorder(reports));

        Assert.That(reports, Has.Count.GreaterThan(3));
        Assert.That(reports.Select(report => report.BytesDone), Is.Ordered);
        Assert.That(reports[^1], Is.EqualTo(new ModelProgress
        {
            TensorName = "b",
            TensorIndex = 1,
            TensorCount = 2,
            BytesDone = 9_000_005,
            TotalBytes = 9_000_005,
        }));
    }

    [Test]
    public void MemoryDoesNotGrowWithTheTensor()
    {
        var chunk = new byte[1 << 16];
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [1 << 26], stream =>
        {
            for (int i = 0; i < 1 << 10; i++)
            {
                stream.Write(chunk);
            }
        });

        long before = GC.GetAllocatedBytesForCurrentThread();
        writer.WriteFolder(_folder["out"]);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(4 << 20));
    }

    [Test]
    public void ImpossibleDeclarationsAreArgumentErrors()
    {
        var writer = new SafetensorsWriter();
        writer.Add("a", ElementType.U8, [1], new byte[1]);
        using (Assert.EnterMultipleScope())
        {
            Assert.Throws<ArgumentException>(() => writer.Add("a", ElementType.U8, [1], new byte[1]));
            Assert.Throws<ArgumentException>(() => writer.Add("__metadata__", ElementType.U8, [1], new byte[1]));
            Assert.Catch<ArgumentException>(() => writer.Add("\ud800", ElementType.U8, [1], new byte[1]));
            Assert.Throws<ArgumentException>(() => writer.Add(new string('x', 5000), ElementType.U8, [1], new byte[1]));
            Assert.Throws<ArgumentException>(() => writer.Add("b", ElementType.U8, [2], new byte[1]));
            Assert.Throws<ArgumentException>(() => writer.Add("b", ElementType.F32, [long.MaxValue, 2], _ => { }));
            Assert.Throws<ArgumentOutOfRangeException>(() => writer.Add("b", ElementType.F32, [-1], _ => { }));
        }
    }

    private static SafetensorsWriter Declare(Model model, SafetensorsWriter writer)
    {
        foreach ((string name, ElementType type, long[] shape, byte[] data) in model.Tensors)
        {
            writer.Add(name, type, shape, data);
        }

        return writer;
    }

    private static void Compare(Model model, string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.That(file.Metadata, Is.EquivalentTo(model.Metadata));
        Assert.That(file.Tensors.Select(tensor => tensor.Name), Is.EquivalentTo(model.Tensors.Select(tensor => tensor.Name)));
        foreach ((string name, ElementType type, long[] shape, byte[] data) in model.Tensors)
        {
            Assert.That(file.TryGet(name, out SafetensorsTensor? tensor), name);
            Assert.That(tensor!.ElementType, Is.EqualTo(type));
            Assert.That(tensor.Shape, Is.EqualTo(shape));
            Assert.That(tensor.UnsafeGetBytes(0, data.Length).ToArray(), Is.EqualTo(data));
        }
    }

    private static Gen<Model> Models() =>
        from names in ArbMap.Default.GeneratorFor<NonNull<string>[]>()
        let distinct = names.Select(name => Clean(name.Get)).Where(name => name != "__metadata__").Distinct().ToArray()
        from tensors in Gen.CollectToArray(distinct, Tensor)
        from metadata in ArbMap.Default.GeneratorFor<Tuple<NonNull<string>, NonNull<string>>[]>()
        from maxShardBytes in Gen.Choose(1, 200)
        where tensors.Length > 0
        select new Model(
            tensors,
            metadata.Select(pair => (Clean(pair.Item1.Get), Clean(pair.Item2.Get))).DistinctBy(pair => pair.Item1).ToDictionary(),
            maxShardBytes);

    private static Gen<(string, ElementType, long[], byte[])> Tensor(string name) =>
        from type in Gen.Elements(Enum.GetValues<ElementType>().Where(type => type.GetBits() % 8 == 0).ToArray())
        from shape in Gen.Choose(0, 5).ArrayOf(3)
        from rank in Gen.Choose(0, 3)
        let dimensions = shape[..rank].Select(dimension => (long)dimension).ToArray()
        from data in Gen.Choose(0, 255).ArrayOf((int)dimensions.Aggregate(type.GetBits() / 8L, (a, b) => a * b))
        select (name, type, dimensions, data.Select(value => (byte)value).ToArray());

    /// <summary>FsCheck's strings may hold half of a surrogate pair, which JSON cannot.</summary>
    private static string Clean(string text) => new([.. text.Where(c => !char.IsSurrogate(c))]);

    private sealed record Model(
        (string Name, ElementType Type, long[] Shape, byte[] Data)[] Tensors, Dictionary<string, string> Metadata, int MaxShardBytes);

    private sealed class Recorder(List<ModelProgress> reports) : IProgress<ModelProgress>
    {
        public void Report(ModelProgress value) => reports.Add(value);
    }
}
