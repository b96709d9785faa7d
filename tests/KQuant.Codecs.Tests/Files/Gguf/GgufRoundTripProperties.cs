using FsCheck;
using FsCheck.Fluent;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Whatever is written is read.</summary>
public class GgufRoundTripProperties
{
    [FsCheck.NUnit.Property(MaxTest = 300, Replay = "20261101,7", QuietOnSuccess = true, Arbitrary = [typeof(Generators)])]
    public void MetadataAndTensorsComeBack(Model model)
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter();
        writer.Metadata.Set("general.alignment", 1u << model.AlignmentBits);
        foreach ((string key, GgufValue value) in model.Values)
        {
            writer.Metadata.Set(key, value);
        }

        foreach (Tensor tensor in model.Tensors)
        {
            writer.Add(tensor.Name, tensor.Dimensions, tensor.Type, tensor.Data);
        }

        var stream = new MemoryStream();
        writer.Write(stream);
        using GgufFile file = GgufFile.Open(folder.Write("model.gguf", stream.ToArray()));
        Assert.That(file.Length, Is.EqualTo(writer.FileLength));
        Assert.That(file.Metadata.Keys, Is.EqualTo(writer.Metadata.Keys));
        foreach ((string key, GgufValue value) in writer.Metadata)
        {
            GgufValue read = file.Metadata[key];
            Assert.That((read.Type, read.ElementType, read.Count), Is.EqualTo((value.Type, value.ElementType, value.Count)));
            Assert.That(read.UnsafeBytes().SequenceEqual(value.UnsafeBytes()));
            Assert.That(read.ToString(), Is.EqualTo(value.ToString()));
        }

        Assert.That(file.Tensors, Has.Count.EqualTo(model.Tensors.Length));
        foreach ((GgufTensor read, Tensor tensor) in file.Tensors.Zip(model.Tensors))
        {
            Assert.That((read.Name, read.Type), Is.EqualTo((tensor.Name, tensor.Type)));
            Assert.That(read.Dimensions.Concat([1, 1, 1]).Take(4), Is.EqualTo(tensor.Dimensions.Concat([1, 1, 1]).Take(4)));
            Assert.That(read.Offset % (1 << model.AlignmentBits), Is.Zero);
            Assert.That(read.UnsafeGetBytes().SequenceEqual(tensor.Data));
        }
    }

    public sealed record Tensor(string Name, long[] Dimensions, GgmlType Type, byte[] Data)
    {
        public override string ToString() => $"{Name} {Type} [{string.Join(", ", Dimensions)}]";
    }

    public sealed record Model(int AlignmentBits, Dictionary<string, GgufValue> Values, Tensor[] Tensors)
    {
        public override string ToString() =>
            $"alignment 2^{AlignmentBits}, {string.Join(", ", Values)}, {string.Join<Tensor>(", ", Tensors)}";
    }

    public static class Generators
    {
        private static readonly Gen<string> Texts = ArbMap.Default.GeneratorFor<UnicodeString>().Select(text => text.Get);

        public static Arbitrary<Model> Models()
        {
            Gen<Dictionary<string, GgufValue>> values =
                from keys in Texts.Where(text => text.Length > 0 && IsName(text)).ListOf()
                from list in Values(2).ListOf(keys.Count)
                select keys.Zip(list).DistinctBy(pair => pair.First).ToDictionary(pair => pair.First, pair => pair.Second);
            Gen<Model> models =
                from alignment in Gen.Choose(0, 9)
                from dictionary in values
                from tensors in Tensors().ListOf()
                select new Model(alignment, dictionary, [.. tensors.Select((tensor, i) => tensor with { Name = $"{tensor.Name}{i}" })]);
            return models.ToArbitrary();
        }

        private static bool IsName(string text) => !text.Any(c => c == '\0' || char.IsSurrogate(c));

        private static Gen<GgufValue> Values(int depth)
        {
            Gen<GgufValue>[] flat =
            [
                Scalars<byte>(), Scalars<sbyte>(), Scalars<ushort>(), Scalars<short>(), Scalars<uint>(), Scalars<int>(), Scalars<float>(),
                Scalars<bool>(), Scalars<ulong>(), Scalars<long>(), Scalars<double>(), Texts.Select(GgufValue.From), ArrayValues(0),
            ];
            return depth == 0 ? Gen.OneOf(flat) : Gen.OneOf([.. flat, ArrayValues(depth)]);
        }

        private static Gen<GgufValue> Scalars<T>()
            where T : notnull => ArbMap.Default.GeneratorFor<T>().Select(GgufValue.From);

        private static Gen<GgufValue> ArrayValues(int depth)
        {
            Gen<GgufValue> flat = Gen.OneOf(
                Arrays<byte>(), Arrays<short>(), Arrays<uint>(), Arrays<float>(), Arrays<bool>(), Arrays<long>(), Arrays<double>(),
                Texts.ArrayOf().Select(texts => GgufValue.FromStrings(texts)));
            return depth == 0 ? flat : Gen.OneOf(flat, ArrayValues(depth - 1).ArrayOf(2).Select(GgufValue.FromArrays));
        }

        private static Gen<GgufValue> Arrays<T>()
            where T : unmanaged => ArbMap.Default.GeneratorFor<T>().ArrayOf().Select(values => GgufValue.FromArray<T>(values));

        private static Gen<Tensor> Tensors() =>
            from name in Texts.Where(text => text.Length < 8 && IsName(text))
            from type in Gen.Elements(GgmlType.All.ToArray())
            from blocks in Gen.Choose(0, 2)
            from outer in Gen.Choose(0, 3).ListOf(3)
            from rank in Gen.Choose(1, 4)
            from seed in Gen.Choose(0, int.MaxValue)
            let dimensions = outer.Select(size => (long)size).Prepend((long)blocks * type.WeightsPerBlock).Take(rank)
            select Create(name, type, [.. dimensions], seed);

        private static Tensor Create(string name, GgmlType type, long[] dimensions, int seed)
        {
            var data = new byte[dimensions.Aggregate(1L, (a, b) => a * b) / type.WeightsPerBlock * type.BytesPerBlock];
            new Random(seed).NextBytes(data);
            return new Tensor(name, dimensions, type, data);
        }
    }
}
