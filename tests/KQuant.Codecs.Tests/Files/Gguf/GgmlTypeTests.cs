using KQuant.Codecs.Files;

namespace KQuant.Codecs.Tests.Files;

public class GgmlTypeTests
{
    private static readonly QuantCodec[] Codecs = [.. QuantCodec.All.Where(codec => codec.Format is not null)];

    [Test]
    public void TypesWithACodecHaveItsNameAndGeometry()
    {
        foreach (QuantCodec codec in Codecs)
        {
            GgmlType type = GgmlType.Of(codec);
            Assert.That(
                (type.Name, type.WeightsPerBlock, type.BytesPerBlock),
                Is.EqualTo((codec.Name, codec.WeightsPerBlock, codec.BytesPerBlock)));
            Assert.That(type.Codec, Is.SameAs(codec));
        }
    }

    [Test]
    public void IdsAndNamesAreUnique()
    {
        Assert.That(GgmlType.All.Select(type => type.Id), Is.Unique.And.Ordered);
        Assert.That(GgmlType.All.Select(type => type.Name), Is.Unique);
        Assert.That(GgmlType.All.Count(type => type.Codec is null), Is.EqualTo(GgmlType.All.Length - Codecs.Length));
    }

    [TestCase(4u)]
    [TestCase(5u)]
    [TestCase(31u)]
    [TestCase(38u)]
    [TestCase(43u)]
    [TestCase(uint.MaxValue)]
    public void RemovedAndFutureIdsAreNotKnown(uint id) => Assert.That(GgmlType.TryGet(id, out _), Is.False);
}
