using System.Collections;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Files written by ggml are read as the independent fixture reader reads them, and written again byte for byte.</summary>
public class GgufGoldenTests
{
    private static IEnumerable<string> Fixtures =>
        Directory.GetFiles(RepositoryFiles.Fixture("gguf"), "*.gguf").Select(path => Path.GetFileNameWithoutExtension(path)!).Order();

    [TestCaseSource(nameof(Fixtures))]
    public void TensorsAreThoseOfTheFixtureReader(string name)
    {
        FixtureTensors fixture = FixtureTensors.Load(name);
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", name + ".gguf"));

        Assert.That(file.Tensors.Select(tensor => tensor.Name), Is.EqualTo(fixture.Names));
        foreach (GgufTensor tensor in file.Tensors)
        {
            Assert.That(tensor.Dimensions, Is.EqualTo(fixture.Dims(tensor.Name)), tensor.Name);
            Assert.That(tensor.TypeId, Is.EqualTo(fixture.TypeId(tensor.Name)), tensor.Name);
            Assert.That(tensor.UnsafeGetBytes().SequenceEqual(fixture.Bytes(tensor.Name, tensor.ByteCount!.Value)), tensor.Name);
        }
    }

    [TestCaseSource(nameof(Fixtures))]
    public void TensorsFillTheDataWithoutGaps(string name)
    {
        // Holds for all 23 quantized types of the fixtures only if every block size in the type table is right.
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", name + ".gguf"));
        for (int i = 0; i < file.Tensors.Count; i++)
        {
            GgufTensor tensor = file.Tensors[i];
            long end = (tensor.Offset + tensor.ByteCount!.Value + 31) / 32 * 32;
            Assert.That(end, Is.EqualTo(i + 1 < file.Tensors.Count ? file.Tensors[i + 1].Offset : file.Length), tensor.Name);
        }
    }

    [TestCaseSource(nameof(Fixtures))]
    public void MetadataIsThatOfTheFixtureReader(string name)
    {
        FixtureTensors fixture = FixtureTensors.Load(name);
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", name + ".gguf"));

        Assert.That(file.Metadata.Keys, Is.EqualTo(fixture.Metadata.Keys));
        foreach ((string key, object expected) in fixture.Metadata)
        {
            Assert.That(ToObject(file.Metadata[key]), Is.EqualTo(expected), key);
        }
    }

    [TestCaseSource(nameof(Fixtures))]
    public void RewritingIsByteIdentical(string name)
    {
        string path = RepositoryFiles.Fixture("gguf", name + ".gguf");
        using GgufFile file = GgufFile.Open(path);
        var writer = new GgufWriter(file.Metadata);
        foreach (GgufTensor tensor in file.Tensors)
        {
            writer.Add(tensor);
        }

        var copy = new MemoryStream();
        writer.Write(copy);

        Assert.That(copy.ToArray(), Is.EqualTo(File.ReadAllBytes(path)));
        Assert.That(writer.FileLength, Is.EqualTo(file.Length));
    }

    [Test]
    public void StackedExpertsAreSlices()
    {
        FixtureTensors fixture = FixtureTensors.Load(QuantCodec.Get(QuantFormat.Q4_K), "matmul-");
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "matmul-q4_K.gguf"));
        using QuantizedTensor experts = file.GetTensor("w_e");

        Assert.That(experts.Shape, Is.EqualTo(QuantShape.Stack(8, 12, 512)));
        Assert.That(experts.GetExpert(3).UnsafeGetRowBytes(5).SequenceEqual(fixture.Bytes("w_e", 8 * 12 * 288).Slice(((3 * 12) + 5) * 288, 288)));
    }

    private static object ToObject(GgufValue value)
    {
        if (value.Type == GgufValueType.Array)
        {
            IEnumerable elements = value.ElementType switch
            {
                GgufValueType.String => value.TryGetStrings(out GgufStrings? strings) ? strings : Array.Empty<string>(),
                GgufValueType.UInt8 => value.TryGetArray(out byte[]? bytes) ? bytes : [],
                GgufValueType.Int32 => value.TryGetArray(out int[]? ints) ? ints : [],
                GgufValueType.Float32 => value.TryGetArray(out float[]? floats) ? floats : [],
                _ => throw new NotSupportedException($"{value.ElementType}"),
            };
            return elements.Cast<object>().ToArray();
        }

        return value.Type switch
        {
            GgufValueType.String => value.TryGet(out string text) ? text : "",
            GgufValueType.UInt32 => value.TryGet(out uint number) ? number : 0u,
            GgufValueType.Int32 => value.TryGet(out int number) ? number : 0,
            GgufValueType.UInt64 => value.TryGet(out ulong number) ? number : 0ul,
            GgufValueType.Float32 => value.TryGet(out float number) ? number : 0f,
            GgufValueType.Bool => value.TryGet(out bool flag) && flag,
            _ => throw new NotSupportedException($"{value.Type}"),
        };
    }
}
