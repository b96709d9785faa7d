using KQuant.TestKit;

namespace KQuant.Codecs.Tests;

/// <summary>Encoding gives the bytes of ggml's encoders, without importance and with it.</summary>
public class EncodeGoldenTests
{
    private static IEnumerable<TestCaseData> Cases =>
        from codec in QuantCodec.All
        from weighted in (bool[])[false, true]
        select new TestCaseData(codec, weighted).SetArgDisplayNames(codec.Name, weighted ? "importance" : "plain");

    [TestCaseSource(nameof(Cases))]
    public void EncodesAsGgml(QuantCodec codec, bool weighted)
    {
        CodecFixture fixture = CodecFixture.Load(codec, weighted);
        var actual = new byte[fixture.RowByteCount];

        Assert.Multiple(() =>
        {
            foreach (FixtureRow row in fixture.Rows)
            {
                codec.Encode(row.Weights, actual, new EncodeOptions { Importance = fixture.Importance, Overflow = ScaleOverflow.Keep });
                if (!row.Notes.HasFlag(RowNotes.UndefinedInC))
                {
                    Assert.That(actual, Is.EqualTo(row.Wire), row.Kind);
                }
            }
        });
    }
}
