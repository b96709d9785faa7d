namespace KQuant.Codecs.Tests.Encoders;

/// <summary>Weights in 16 bits are encoded as the same weights in float32.</summary>
public class EncodeNumberTypesTests
{
    // A few rows more than are widened at once.
    private const int Columns = 512, Rows = 130;

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All;

    [TestCaseSource(nameof(Codecs))]
    public void HalvesAndBrainFloats(QuantCodec codec)
    {
        var random = new Random(1);
        float[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(_ => (float)(Half)((random.NextSingle() - 0.5f) / 8))];
        Half[] halves = [.. weights.Select(weight => (Half)weight)];
        BFloat16[] brains = [.. weights.Select(weight => (BFloat16)weight)];
        float[] rounded = [.. brains.Select(weight => (float)weight)];
        float[] importance = [.. Enumerable.Range(0, Columns).Select(_ => random.NextSingle())];

        Assert.That(Encode<Half>(codec, halves, importance), Is.EqualTo(Encode<float>(codec, weights, importance)));
        Assert.That(Encode<BFloat16>(codec, brains, importance), Is.EqualTo(Encode<float>(codec, rounded, importance)));
    }

    [Test]
    public void AnErrorNamesTheRowOfTheTensor()
    {
        var halves = new Half[Rows * Columns];
        halves[(Rows - 1) * Columns] = Half.NaN;
        var codec = QuantCodec.Get(QuantFormat.Q4_K);

        var error = Assert.Throws<InvalidWeightException>(() => codec.Encode<Half>(
            halves, new byte[codec.GetByteCount(halves.Length)], new EncodeOptions { RowLength = Columns, FirstRow = 1000 }));

        Assert.That(error!.Row, Is.EqualTo(1000 + Rows - 1));
        Assert.That(error, Is.InstanceOf<KQuantException>());
    }

    [Test]
    public void OtherNumbersAndSmallDestinationsAreRefused()
    {
        var codec = QuantCodec.Get(QuantFormat.Q8_0);
        Assert.That(() => codec.Encode<double>(new double[32], new byte[34]), Throws.TypeOf<NotSupportedException>().With.Message.Contains("Double"));
        Assert.That(() => codec.Encode<Half>(new Half[32], new byte[33]), Throws.ArgumentException);
        Assert.That(codec.Encode<Half>([], []), Is.Zero);
    }

    private static byte[] Encode<T>(QuantCodec codec, T[] weights, float[] importance)
        where T : unmanaged
    {
        var wire = new byte[codec.GetByteCount(weights.Length)];
        var options = new EncodeOptions { RowLength = Columns, Importance = importance };
        Assert.That(codec.Encode<T>(weights, wire, options), Is.EqualTo(wire.Length));
        return wire;
    }
}
