using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Decoding;

/// <summary>Decoding gives the floats of ggml's <c>dequantize_row_*</c>, bit for bit.</summary>
public class DecodeGoldenTests
{
    private static IEnumerable<TestCaseData> Cases =>
        from codec in QuantCodec.Quantized
        where codec.Format is not null
        from pair in new[] { (Wire: "w", Floats: "deq"), (Wire: "w_im", Floats: "deq_im") }
        select new TestCaseData(codec, pair.Wire, pair.Floats).SetArgDisplayNames(codec.Name, pair.Wire);

    [TestCaseSource(nameof(Cases))]
    public void DecodesAsGgml(QuantCodec codec, string wire, string floats)
    {
        FixtureTensors fixture = FixtureTensors.Load(codec);
        float[] expected = fixture.Floats(floats);
        var actual = new float[expected.Length];

        codec.Decode(fixture.Bytes(wire, codec.GetByteCount(expected.Length)), actual);

        Assert.That(actual, Is.EqualTo(expected).Using<float, float>(SameFloat));
    }

    private static bool SameFloat(float a, float b) =>
        BitConverter.SingleToInt32Bits(a) == BitConverter.SingleToInt32Bits(b) || (float.IsNaN(a) && float.IsNaN(b));
}
