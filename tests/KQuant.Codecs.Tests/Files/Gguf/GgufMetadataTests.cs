using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Typed look-ups, their errors, and the values themselves.</summary>
public class GgufMetadataTests
{
    [Test]
    public void LookUpsAreStrictAboutTypesAndNameBoth()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("keys.gguf", new GgufBytes()
            .Key("general.architecture", "llama").Key("llama.block_count", 32u).Strings("tokens", "a", "b").ToArray());
        using GgufFile file = GgufFile.Open(path);
        GgufMetadata metadata = file.Metadata;

        Assert.That(metadata.Architecture, Is.EqualTo("llama"));
        Assert.That(metadata.Get<uint>("llama.block_count"), Is.EqualTo(32));
        Assert.That(metadata.Get("llama.context_length", 7u), Is.EqualTo(7));
        Assert.That(metadata.TryGet("llama.context_length", out uint _), Is.False);
        Assert.That(metadata.GetInteger("llama.block_count"), Is.EqualTo(32));
        Assert.That(metadata.GetNumber("llama.block_count"), Is.EqualTo(32.0));

        Assert.That(
            () => metadata.Get<int>("llama.block_count"),
            Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: key 'llama.block_count' should be i32 but is u32 '32'"));
        Assert.That(
            () => metadata.Get("llama.block_count", ""),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("should be string but is u32"));
        Assert.That(
            () => metadata.GetArray<float>("tokens"),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("key 'tokens' should be f32[] but is string[] of 2 elements"));
        Assert.That(
            () => metadata.GetStrings("general.architecture"),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("should be string[] but is string 'llama'"));
        Assert.That(
            () => metadata.GetInteger("general.architecture"),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("an integer"));
        Assert.That(
            () => metadata.Get<uint>("llama.context_length"),
            Throws.TypeOf<ModelFormatException>().With.Message.EqualTo($"{path}: key 'llama.context_length' is missing"));
    }

    [Test]
    public void ScalarsOfEveryTypeComeBack()
    {
        AssertComesBack(byte.MaxValue, "u8");
        AssertComesBack(sbyte.MinValue, "i8");
        AssertComesBack(ushort.MaxValue, "u16");
        AssertComesBack(short.MinValue, "i16");
        AssertComesBack(uint.MaxValue, "u32");
        AssertComesBack(int.MinValue, "i32");
        AssertComesBack(float.Epsilon, "f32");
        AssertComesBack(true, "bool");
        AssertComesBack("Ж \0 \U0001F600", "string");
        AssertComesBack(ulong.MaxValue, "u64");
        AssertComesBack(long.MinValue, "i64");
        AssertComesBack(Math.PI, "f64");
        Assert.That(() => GgufValue.From('c'), Throws.TypeOf<NotSupportedException>());

        static void AssertComesBack<T>(T expected, string typeName)
            where T : notnull
        {
            GgufValue value = GgufValue.From(expected);
            Assert.That(value.TryGet(out T actual) ? (object)actual : null, Is.EqualTo(expected));
            Assert.That(value.TypeName, Is.EqualTo(typeName));
        }
    }

    [Test]
    public void IntegersOfEveryTypeAreIntegers()
    {
        GgufValue[] values =
        [
            GgufValue.From((byte)200), GgufValue.From((sbyte)-3), GgufValue.From((ushort)60000), GgufValue.From((short)-300),
            GgufValue.From(4_000_000_000u), GgufValue.From(-5), GgufValue.From(-6L), GgufValue.From(7UL),
        ];
        long[] expected = [200, -3, 60000, -300, 4_000_000_000, -5, -6, 7];

        Assert.That(values.Select(value => value.TryGetInteger(out long integer) ? integer : 0), Is.EqualTo(expected));
        Assert.That(
            values.Select(value => value.TryGetNumber(out double number) ? number : 0),
            Is.EqualTo(expected.Select(integer => (double)integer)));
        Assert.That(values.Select(value => value.ToString()), Is.EqualTo(expected.Select(integer => FormattableString.Invariant($"{integer}"))));
        Assert.That(GgufValue.From(ulong.MaxValue).TryGetInteger(out _), Is.False, "does not fit");
        Assert.That(GgufValue.From(1f).TryGetInteger(out _), Is.False);
        Assert.That(GgufValue.From(true).TryGetNumber(out _), Is.False);
    }

    [Test]
    public void BooleansOtherThanZeroAndOneAreTrue()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = new GgufBytes().Key("flag", 7, 2).Array("flags", 7, 3, 0, 1, 255).ToArray();
        using GgufFile file = GgufFile.Open(folder.Write("bools.gguf", bytes));

        Assert.That(file.Metadata.Get<bool>("flag") == true);
        Assert.That(file.Metadata.GetArray<bool>("flags"), Is.EqualTo((bool[])[false, true, true]));
        Assert.That(file.Metadata.GetArray<bool>("flags")[1] == file.Metadata.GetArray<bool>("flags")[2], "both are the same true");
    }

    [Test]
    public void StringsAreReachedInAnyOrder()
    {
        string[] expected = [.. Enumerable.Range(0, 1000).Select(i => new string('x', i % 7) + i)];
        Assert.That(GgufValue.FromStrings(expected).TryGetStrings(out GgufStrings? strings));
        var random = new Random(5);
        for (int i = 0; i < 300; i++)
        {
            int index = random.Next(expected.Length);
            Assert.That(strings![index], Is.EqualTo(expected[index]));
        }

        Assert.That(strings, Is.EqualTo(expected));
        Assert.That(() => strings![1000], Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => strings![-1], Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void BytesThatAreNoUtf8SurviveInStrings()
    {
        byte[] bad = [0xC0, 0x80, 0xED, 0xA0, 0x80];
        using var folder = new TemporaryFolder();
        byte[] wire = [.. BitConverter.GetBytes(5L), .. bad];
        byte[] original = new GgufBytes().Key("text", 8, wire).Array("texts", 8, 1, wire).ToArray();
        using GgufFile file = GgufFile.Open(folder.Write("bad.gguf", original));

        Assert.That(file.Metadata.Get<string>("text"), Does.Contain('\uFFFD'));
        Assert.That(file.Metadata["text"].UnsafeBytes()[8..].SequenceEqual(bad));
        Assert.That(file.Metadata.GetStrings("texts").GetUtf8(0).SequenceEqual(bad));
        new GgufWriter(file.Metadata).Write(folder["copy.gguf"]);
        Assert.That(File.ReadAllBytes(folder["copy.gguf"]), Is.EqualTo(original));
    }

    [Test]
    public void ArraysOfArraysComeBack()
    {
        GgufValue value = GgufValue.FromArrays(
        [
            GgufValue.FromArray<int>([1, 2, 3]), GgufValue.FromStrings(["a", "bc"]),
            GgufValue.FromArrays([GgufValue.FromArray<double>([])]),
        ]);

        Assert.That(value.TryGetArrays(out GgufValue[]? arrays));
        Assert.That(arrays![0].TryGetArray(out int[]? numbers) ? numbers : null, Is.EqualTo((int[])[1, 2, 3]));
        Assert.That(arrays[1].TryGetStrings(out GgufStrings? strings) ? strings : null, Is.EqualTo((string[])["a", "bc"]));
        Assert.That(arrays[2].TryGetArrays(out GgufValue[]? inner) && inner[0].TryGetArray(out double[]? none) && none.Length == 0);
        Assert.That(
            () => GgufValue.FromArrays([GgufValue.From(1)]),
            Throws.ArgumentException.With.Message.Contains("Element 0 is of type i32"));
    }

    [Test]
    public void LongArraysAreShownByTheirFirstElements()
    {
        Assert.That(GgufValue.FromArray<int>([1, 2]).ToString(), Is.EqualTo("[1, 2]"));
        Assert.That(
            GgufValue.FromStrings([.. Enumerable.Range(0, 20).Select(i => $"t{i}")]).ToString(),
            Is.EqualTo("[t0, t1, t2, t3, t4, t5, t6, t7, ... 12 more]"));
        Assert.That(GgufValue.FromArrays([GgufValue.FromArray<int>([1])]).ToString(), Is.EqualTo("[[...]]"));
    }

    [Test]
    public void TheMetadataOfAnOpenFileIsReadOnlyAndACopyIsNot()
    {
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_0.gguf"));
        Assert.That(() => file.Metadata.Set("key", 1), Throws.InvalidOperationException);
        Assert.That(() => file.Metadata.Remove("fixture.seed"), Throws.InvalidOperationException);

        var copy = new GgufMetadata(file.Metadata);
        copy.Set("key", 1);
        Assert.That(copy.Remove("fixture.seed"));
        Assert.That(file.Metadata.ContainsKey("fixture.seed") && !file.Metadata.ContainsKey("key"));
    }

    [Test]
    public void AChangedKeyKeepsItsPlace()
    {
        var metadata = new GgufMetadata();
        metadata.Set("a", 1);
        metadata.Set("b", "x");
        metadata.SetStrings("c", ["y"]);
        metadata.Set("a", 2.5);
        metadata.SetFileType(QuantCodec.Get(QuantFormat.Q4_K));

        Assert.That(metadata.Keys, Is.EqualTo((string[])["a", "b", "c", "general.file_type", "general.quantization_version"]));
        Assert.That(metadata.Get<double>("a"), Is.EqualTo(2.5));
        Assert.That(metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.Q4_K_M));
        Assert.That(metadata.Get<uint>("general.quantization_version"), Is.EqualTo(2));
    }

    [Test]
    public void EveryCodecOfGgmlHasAFileType()
    {
        foreach (QuantCodec codec in QuantCodec.All.Where(codec => codec.Format is not null))
        {
            var metadata = new GgufMetadata();
            metadata.SetFileType(codec);
            var fileType = (GgufFileType)metadata.Get<uint>("general.file_type");
            Assert.That($"{fileType}", Does.StartWith($"{codec.Format}"));
        }
    }

    [Test]
    public void KnownKeysHaveTheTypesThatAreRead()
    {
        var metadata = new GgufMetadata();
        metadata.Set("qwen3.block_count", 12);
        metadata.Set("qwen3.rope.freq_base", 10000);
        metadata.Set("qwen3.attention.layer_norm_rms_epsilon", 1e-6);
        metadata.Set("general.file_type", 7L);
        metadata.Set("split.count", 2);
        metadata.Set("my.own", 12);
        metadata.SetCount("my.count", 12);

        Assert.That(metadata["qwen3.block_count"].Type, Is.EqualTo(GgufValueType.UInt32));
        Assert.That(metadata.Get<uint>("qwen3.block_count"), Is.EqualTo(12));
        Assert.That(metadata.Get<float>("qwen3.rope.freq_base"), Is.EqualTo(10000));
        Assert.That(metadata.Get<float>("qwen3.attention.layer_norm_rms_epsilon"), Is.EqualTo(1e-6f));
        Assert.That(metadata.Get<uint>("general.file_type"), Is.EqualTo(7));
        Assert.That(metadata.Get<ushort>("split.count"), Is.EqualTo(2));
        Assert.That(metadata.Get<int>("my.own"), Is.EqualTo(12));
        Assert.That(metadata.Get<uint>("my.count"), Is.EqualTo(12));
    }

    [Test]
    public void AKnownKeyRefusesWhatItCannotBe()
    {
        var metadata = new GgufMetadata();
        Assert.That(() => metadata.Set("qwen3.block_count", -1), Throws.ArgumentException.With.Message.StartsWith("key 'qwen3.block_count' is u32 and cannot be i32 '-1'"));
        Assert.That(() => metadata.Set("qwen3.block_count", "12"), Throws.ArgumentException);
        Assert.That(() => metadata.Set("qwen3.block_count", 1.5), Throws.ArgumentException);
        Assert.That(() => metadata.SetCount("my.count", 1L << 32), Throws.InstanceOf<ArgumentOutOfRangeException>());
        metadata.Set("qwen3.block_count", GgufValue.From("as it is"));
        Assert.That(metadata["qwen3.block_count"].Type, Is.EqualTo(GgufValueType.String));
    }
}
