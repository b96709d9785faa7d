using KQuant.TestKit;

namespace KQuant.Codecs.Tests;

/// <summary>Encoding gives the bytes of ggml's encoders, without importance and with it.</summary>
public class EncodeGoldenTests
{
    private static IEnumerable<TestCaseData> Cases =>
        from codec in QuantCodec.Quantized
        where codec.Format is not null
        from weighted in (bool[])[false, true]
        select new TestCaseData(codec, weighted).SetArgDisplayNames(codec.Name, weighted ? "importance" : "plain");

    [TestCaseSource(nameof(Cases))]
    public void EncodesAsGgml(QuantCodec codec, bool weighted)
    {
        CodecFixture fixture = CodecFixture.Load(codec, weighted);

        Assert.Multiple(() =>
        {
            foreach (FixtureRow row in fixture.Rows.Where(row => !row.Notes.HasFlag(RowNotes.UndefinedInC)))
            {
                Assert.That(Encode(codec, row, fixture), Is.EqualTo(row.Wire), row.Kind);
            }
        });
    }

    /// <summary>
    /// Rows on which ggml's C code casts infinities to integers have no right bytes. They hold denormals, which are lost whatever the
    /// codes, or weights beyond all scales.
    /// </summary>
    [TestCaseSource(nameof(Cases))]
    public void RowsThatAreUndefinedInCAreHarmless(QuantCodec codec, bool weighted)
    {
        CodecFixture fixture = CodecFixture.Load(codec, weighted);

        Assert.Multiple(() =>
        {
            foreach (FixtureRow row in fixture.Rows.Where(row => row.Notes.HasFlag(RowNotes.UndefinedInC)))
            {
                byte[] wire = Encode(codec, row, fixture);
                Assert.That(Encode(codec, row, fixture), Is.EqualTo(wire), row.Kind);
                if (!row.Notes.HasFlag(RowNotes.NonFinite))
                {
                    var decoded = new float[row.Decoded.Length];
                    codec.Decode(wire, decoded);
                    Assert.That(decoded, Is.EqualTo(row.Decoded), row.Kind);
                }
            }
        });
    }

    private static byte[] Encode(QuantCodec codec, FixtureRow row, CodecFixture fixture)
    {
        var wire = new byte[row.Wire.Length];
        codec.Encode(row.Weights, wire, new EncodeOptions { Importance = fixture.Importance, Overflow = ScaleOverflow.Keep });
        return wire;
    }
}
