using System.Globalization;
using System.Text;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Handcrafted files, value by value, against a second reader; alignment 1; metadata of two files merged.</summary>
public class GgufValueTests
{
    private static IEnumerable<string> Accepted => Directory.GetFiles(RepositoryFiles.Fixture("malformed", "gguf"), "*.gguf")
        .Select(path => Path.GetFileName(path)!).Where(name => GgufReading.ReadAll(RepositoryFiles.Fixture("malformed", "gguf", name)) is null).Order();

    [TestCaseSource(nameof(Accepted))]
    public void EveryValueIsThatOfASecondReader(string name)
    {
        string path = RepositoryFiles.Fixture("malformed", "gguf", name);
        using GgufFile file = GgufFile.Open(path);
        (List<(string, string)> values, List<(string, string)> tensors) = Read(File.ReadAllBytes(path));
        Assert.That(file.Metadata.Select(pair => (pair.Key, Describe(pair.Value))), Is.EqualTo(values));
        Assert.That(file.Tensors.Select(tensor => (tensor.Name, $"{tensor.TypeId} [{string.Join(",", tensor.Dimensions)}] {tensor.Offset - (file.Tensors.Count > 0 ? file.Tensors.Min(other => other.Offset) : 0)}")), Is.EqualTo(tensors));
    }

    [Test]
    public void WithAlignment1TensorsFollowEachOther()
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter();
        writer.Metadata.Set("general.alignment", 1u);
        GgmlType bytes = GgmlType.All.Single(type => type.Name == "i8");
        writer.Add("one", [3], bytes, new byte[] { 1, 2, 3 });
        writer.Add("two", [1], GgmlType.Of(QuantFormat.F32), BitConverter.GetBytes(1.5f));
        writer.Add("three", [2, 2], bytes, new byte[] { 4, 5, 6, 7 });
        writer.Write(folder["a.gguf"]);

        using GgufFile file = GgufFile.Open(folder["a.gguf"]);
        Assert.That(file.Metadata.Alignment, Is.EqualTo(1));
        Assert.That(file.Tensors.Select(tensor => tensor.Offset - file.Tensors[0].Offset), Is.EqualTo([0, 3, 7]));
        Assert.That(file.Tensors[0].UnsafeGetBytes().ToArray(), Is.EqualTo([1, 2, 3]));
        Assert.That(file.Tensors[2].UnsafeGetBytes().ToArray(), Is.EqualTo([4, 5, 6, 7]));
        var value = new float[1];
        file.GetTensor("two").DecodeRow(0, value);
        Assert.That(value[0], Is.EqualTo(1.5f), "four bytes at an odd address");
        Assert.That(file.Length, Is.EqualTo(file.Tensors[2].Offset + 4), "and nothing behind them");
    }

    [Test]
    public void MetadataIsMergedEitherWay()
    {
        using var folder = new TemporaryFolder();
        GgufMetadata a = Written(folder["a.gguf"], ("x", 1u), ("both", 2u)), b = Written(folder["b.gguf"], ("both", 3u), ("y", 4u));
        GgufMetadata aThenB = new(a), bThenA = new(b);
        Merge(aThenB, b);
        Merge(bThenA, a);
        Assert.That(Values(aThenB), Is.EqualTo([("x", 1u), ("both", 3u), ("y", 4u)]), "what comes later counts, where the key was");
        Assert.That(Values(bThenA), Is.EqualTo([("both", 2u), ("y", 4u), ("x", 1u)]));
        Assert.That(Values(a), Is.EqualTo([("x", 1u), ("both", 2u)]), "the sources are as they were");

        new GgufWriter(aThenB).Write(folder["c.gguf"]);
        using GgufFile file = GgufFile.Open(folder["c.gguf"]);
        Assert.That(Values(file.Metadata), Is.EqualTo([("x", 1u), ("both", 3u), ("y", 4u)]));

        static void Merge(GgufMetadata target, GgufMetadata more)
        {
            foreach ((string key, GgufValue value) in more)
            {
                target.Set(key, value);
            }
        }
    }

    private static GgufMetadata Written(string path, params (string Key, uint Value)[] values)
    {
        var writer = new GgufWriter();
        foreach ((string key, uint value) in values)
        {
            writer.Metadata.Set(key, value);
        }

        writer.Write(path);
        using GgufFile file = GgufFile.Open(path);
        return new GgufMetadata(writer.Metadata);
    }

    private static IEnumerable<(string, uint)> Values(GgufMetadata metadata) => metadata.Keys.Select(key => (key, metadata.Get<uint>(key)));

    private static string Describe(GgufValue value)
    {
        if (value.Type != GgufValueType.Array)
        {
            return $"{(uint)value.Type} {Scalar(value)}";
        }

        IEnumerable<string> elements = value.ElementType switch
        {
            GgufValueType.String => value.TryGetStrings(out GgufStrings? texts) ? texts.Select(text => text) : [],
            GgufValueType.Array => value.TryGetArrays(out GgufValue[]? arrays) ? arrays.Select(Describe) : [],
            GgufValueType.UInt8 => Elements<byte>(value),
            GgufValueType.Int8 => Elements<sbyte>(value),
            GgufValueType.UInt16 => Elements<ushort>(value),
            GgufValueType.Int16 => Elements<short>(value),
            GgufValueType.UInt32 => Elements<uint>(value),
            GgufValueType.Int32 => Elements<int>(value),
            GgufValueType.UInt64 => Elements<ulong>(value),
            GgufValueType.Int64 => Elements<long>(value),
            GgufValueType.Float32 => Elements<float>(value),
            GgufValueType.Float64 => Elements<double>(value),
            _ => Elements<bool>(value),
        };
        return $"9 {(uint)value.ElementType!} [{string.Join("|", elements)}]";
    }

    private static string Scalar(GgufValue value) => value.Type switch
    {
        GgufValueType.String => Get<string>(value),
        GgufValueType.UInt8 => Get<byte>(value),
        GgufValueType.Int8 => Get<sbyte>(value),
        GgufValueType.UInt16 => Get<ushort>(value),
        GgufValueType.Int16 => Get<short>(value),
        GgufValueType.UInt32 => Get<uint>(value),
        GgufValueType.Int32 => Get<int>(value),
        GgufValueType.UInt64 => Get<ulong>(value),
        GgufValueType.Int64 => Get<long>(value),
        GgufValueType.Float32 => Get<float>(value),
        GgufValueType.Float64 => Get<double>(value),
        _ => Get<bool>(value),
    };

    private static string Get<T>(GgufValue value)
        where T : notnull => value.TryGet<T>(out T? found) ? Text(found!) : "nothing";

    private static IEnumerable<string> Elements<T>(GgufValue value)
        where T : unmanaged => value.TryGetArray(out T[]? elements) ? elements.Select(element => Text(element)) : ["nothing"];

    private static string Text(object value) => Convert.ToString(value, CultureInfo.InvariantCulture)!;

    /// <summary>What a file says, read by a program that believes everything.</summary>
    private static (List<(string Key, string Value)> Values, List<(string Name, string Data)> Tensors) Read(byte[] bytes)
    {
        using var reader = new BinaryReader(new MemoryStream(bytes));
        reader.ReadUInt64();
        ulong tensorCount = reader.ReadUInt64(), keyCount = reader.ReadUInt64();
        var values = new List<(string, string)>();
        for (ulong i = 0; i < keyCount; i++)
        {
            string key = String();
            values.Add((key, Value(reader.ReadUInt32())));
        }

        var tensors = new List<(string Name, string Text, ulong Offset)>();
        for (ulong i = 0; i < tensorCount; i++)
        {
            string name = String();
            ulong[] dimensions = [.. Enumerable.Range(0, (int)reader.ReadUInt32()).Select(_ => reader.ReadUInt64())];
            tensors.Add((name, $"{reader.ReadUInt32()} [{string.Join(",", dimensions)}]", reader.ReadUInt64()));
        }

        ulong first = tensors.Count == 0 ? 0 : tensors.Min(tensor => tensor.Offset);
        return (values, [.. tensors.Select(tensor => (tensor.Name, $"{tensor.Text} {tensor.Offset - first}"))]);

        string String() => Encoding.UTF8.GetString(reader.ReadBytes((int)reader.ReadUInt64()));

        string Value(uint type) => type == 9 ? $"9 {Array()}" : $"{type} {Simple(type)}";

        string Array()
        {
            uint type = reader.ReadUInt32();
            ulong count = reader.ReadUInt64();
            return $"{type} [{string.Join("|", Enumerable.Range(0, (int)count).Select(_ => type == 9 ? Value(9) : Simple(type)))}]";
        }

        string Simple(uint type) => type switch
        {
            0 => Text(reader.ReadByte()),
            1 => Text(reader.ReadSByte()),
            2 => Text(reader.ReadUInt16()),
            3 => Text(reader.ReadInt16()),
            4 => Text(reader.ReadUInt32()),
            5 => Text(reader.ReadInt32()),
            6 => Text(reader.ReadSingle()),
            7 => Text(reader.ReadByte() != 0),
            8 => String(),
            10 => Text(reader.ReadUInt64()),
            11 => Text(reader.ReadInt64()),
            _ => Text(reader.ReadDouble()),
        };
    }
}
