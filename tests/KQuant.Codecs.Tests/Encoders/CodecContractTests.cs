using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>What every codec promises to callers, whatever its format.</summary>
[TestFixtureSource(typeof(QuantCodec), nameof(QuantCodec.Quantized))]
public class CodecContractTests(QuantCodec codec)
{
    private int Block => codec.WeightsPerBlock;

    [Test]
    public void NamesLeadBackToTheCodec()
    {
        Assert.Multiple(() =>
        {
            Assert.That(codec.Format is { } format ? QuantCodec.Get(format) : codec.Mlx!.GetCodec(), Is.SameAs(codec));
            Assert.That(QuantCodec.TryParse(codec.Name.ToUpperInvariant(), out QuantCodec? parsed) ? parsed : null, Is.SameAs(codec));
            Assert.That(codec.IsQuantized);
            Assert.That(codec.BitsPerWeight, Is.EqualTo(8.0 * codec.BytesPerBlock / Block));
            Assert.That(codec.GetByteCount(3L * Block << 32), Is.EqualTo(3L * codec.BytesPerBlock << 32));
        });
    }

    [Test]
    public void ErrorIsWithinTheLimitsOfGgml([Values] EncodeMode mode, [Values] bool weighted)
    {
        float[] weights = SampleWeights.Cosines;
        float[] importance = weighted ? [.. Enumerable.Repeat(1f, weights.Length)] : [];

        double squares = WeightedError.Of(codec, weights, new EncodeOptions { Mode = mode, Importance = importance }, []);

        Assert.That(Math.Sqrt(squares) / weights.Length, Is.LessThan(ErrorBounds.GgmlTotalError(codec)));
    }

    [Test]
    public void ZerosStayZeros([Values] EncodeMode mode, [Values] bool weighted, [Values(0f, -0f)] float zero)
    {
        float[] weights = [.. Enumerable.Repeat(zero, 2 * Block)];
        float[] importance = weighted ? [.. Enumerable.Range(0, 2 * Block).Select(i => (float)i)] : [];

        Assert.That(WeightedError.Of(codec, weights, new EncodeOptions { Mode = mode, Importance = importance }, []), Is.Zero);
    }

    [Test]
    public void NothingIsEncodedAsNothing()
    {
        Assert.That(codec.Encode([], []), Is.Zero);
        Assert.That(codec.Encode([], [], new EncodeOptions { RowLength = Block, MaxDegreeOfParallelism = -1 }), Is.Zero);
    }

    [Test]
    public void WritesOnlyItsBytes()
    {
        var wire = new byte[(3 * codec.BytesPerBlock) + 7];
        Array.Fill(wire, (byte)0xA5);

        long written = codec.Encode(SampleWeights.Cosines.AsSpan(0, 3 * Block), wire);

        Assert.That(written, Is.EqualTo(3 * codec.BytesPerBlock));
        Assert.That(wire[(3 * codec.BytesPerBlock)..], Is.All.EqualTo(0xA5));
    }

    [Test]
    public void TooSmallDestinationIsToldWithoutWriting()
    {
        var wire = new byte[(2 * codec.BytesPerBlock) - 1];

        Assert.Multiple(() =>
        {
            Assert.That(codec.TryEncode(SampleWeights.Cosines.AsSpan(0, 2 * Block), wire, out long written), Is.False);
            Assert.That(written, Is.Zero);
            Assert.That(wire, Is.All.Zero);
            Assert.That(
                () => codec.Encode(SampleWeights.Cosines.AsSpan(0, 2 * Block), wire),
                Throws.ArgumentException.With.Message.Contains($"{wire.Length}").And.Message.Contains($"{wire.Length + 1}"));
        });
    }

    [Test]
    public void LengthsThatDoNotFitAreNamed()
    {
        Assert.Multiple(() =>
        {
            Assert.That(
                Encoding(Block + 1), Throws.ArgumentException.With.Message.Contains($"{Block + 1}").And.Message.Contains($"{Block}"));
            Assert.That(Encoding(4 * Block, rowLength: Block + 1), Throws.ArgumentException.With.Message.Contains($"{Block + 1}"));
            Assert.That(Encoding(3 * Block, rowLength: 2 * Block), Throws.ArgumentException.With.Message.Contains($"{2 * Block}"));
            Assert.That(Encoding(2 * Block, rowLength: -Block), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(
                Encoding(2 * Block, rowLength: Block, importance: new float[2 * Block]),
                Throws.ArgumentException.With.Message.Contains("importance").And.Message.Contains($"{Block}"));
            Assert.That(() => codec.GetByteCount(-Block), Throws.ArgumentException);
            Assert.That(() => codec.GetByteCount(Block + 1), Throws.ArgumentException.With.Message.Contains(codec.Name));
        });
    }

    [Test]
    public void NonFiniteWeightIsNamed(
        [Values(float.NaN, float.PositiveInfinity, float.NegativeInfinity)] float value, [Values] EncodeMode mode)
    {
        var weights = new float[4 * Block];
        weights[(2 * Block) + 3] = value;
        weights[^1] = value;

        var error = Assert.Throws<InvalidWeightException>(() => codec.Encode(
            weights,
            new byte[4 * codec.BytesPerBlock],
            new EncodeOptions { RowLength = Block, Mode = mode, FirstRow = 1000, Overflow = ScaleOverflow.Keep }));

        Assert.Multiple(() =>
        {
            Assert.That(error!.Row, Is.EqualTo(1002));
            Assert.That(error!.Column, Is.EqualTo(3));
            Assert.That(error!.Value, Is.EqualTo(value));
            Assert.That(error!.Message, Does.Contain(codec.Name).And.Contain("1002").And.Contain("column 3"));
        });
    }

    [Test]
    public void InvalidImportanceIsNamed([Values(float.NaN, float.PositiveInfinity, -1f, -1e-30f)] float value)
    {
        var importance = new float[Block];
        importance[0] = -0f;
        importance[5] = value;

        var error = Assert.Throws<InvalidWeightException>(() => codec.Encode(
            new float[2 * Block], new byte[2 * codec.BytesPerBlock], new EncodeOptions { RowLength = Block, Importance = importance }));

        Assert.Multiple(() =>
        {
            Assert.That(error!.Column, Is.EqualTo(5));
            Assert.That(error!.Value, Is.EqualTo(value));
            Assert.That(error!.Message, Does.Contain(codec.Name).And.Contain("column 5").And.Contain("importance"));
        });
    }

    [Test]
    public void WeightsBeyondTheScalesAreAnError([Values(1e30f, -3e38f)] float value, [Values] EncodeMode mode, [Values] bool weighted)
    {
        float[] weights = [.. SampleWeights.Cosines[..(3 * Block)]];
        weights[Block + 7] = value;
        float[] importance = weighted ? [.. Enumerable.Repeat(1f, 3 * Block)] : [];

        void Encode() => codec.Encode(weights, new byte[3 * codec.BytesPerBlock], new EncodeOptions { Mode = mode, Importance = importance });
        if (codec.Name.Contains("mxfp", StringComparison.Ordinal))
        {
            // Powers of two reach as far as floats do.
            Assert.That(Encode, Throws.Nothing);
            return;
        }

        var error = Assert.Throws<InvalidWeightException>(Encode);

        Assert.Multiple(() =>
        {
            Assert.That(error!.Column, Is.EqualTo(Block));
            Assert.That(error!.Value, Is.EqualTo(value));
            Assert.That(error!.Message, Does.Contain($"columns {Block} to {(2 * Block) - 1}"));
        });
    }

    [Test]
    public void WeightsBeyondTheScalesCanBeKept([Values] EncodeMode mode)
    {
        float[] weights = [.. Enumerable.Repeat(1e30f, Block)];

        Assert.That(
            codec.Encode(weights, new byte[codec.BytesPerBlock], new EncodeOptions { Mode = mode, Overflow = ScaleOverflow.Keep }),
            Is.EqualTo(codec.BytesPerBlock));
    }

    [Test]
    public void LargestWeightsOfTheScalesAreFine([Values] EncodeMode mode)
    {
        float scale = MathF.Min(3e4f, codec.MaxWeight / 2.1f);
        float[] weights = [.. SampleWeights.Cosines[..Block].Select(weight => weight * scale)];

        Assert.That(() => codec.Encode(weights, new byte[codec.BytesPerBlock], new EncodeOptions { Mode = mode }), Throws.Nothing);
    }

    [Test]
    public void OneImportancePerColumnSaysHowLongRowsAre()
    {
        float[] weights = SampleWeights.Cosines[..(4 * Block)], importance = [.. weights[..(2 * Block)].Select(weight => weight * weight)];
        byte[] expected = new byte[codec.GetByteCount(weights.Length)], actual = new byte[expected.Length];
        codec.Encode(weights, expected, new EncodeOptions { Importance = importance, RowLength = 2 * Block });
        codec.Encode(weights, actual, new EncodeOptions { Importance = importance });
        Assert.That(actual, Is.EqualTo(expected).AsCollection);
        Assert.That(() => codec.Encode(weights.AsSpan(0, 3 * Block), actual, new EncodeOptions { Importance = importance }), Throws.ArgumentException);
    }

    [Test]
    public void HugeImportanceThatDrownsTheWeightsIsAnError()
    {
        float[] importance = [.. Enumerable.Repeat(3e38f, Block)];
        float[] weights = SampleWeights.Cosines[..Block];
        var wire = new byte[codec.BytesPerBlock];
        codec.Encode(weights, wire, new EncodeOptions { Importance = importance, Overflow = ScaleOverflow.Keep });
        var decoded = new float[Block];
        codec.Decode(wire, decoded);
        bool lost = decoded.All(weight => !float.IsFinite(weight) || weight == 0);

        Assert.That(
            () => codec.Encode(weights, wire, new EncodeOptions { Importance = importance }),
            lost ? Throws.InstanceOf<InvalidWeightException>().With.Message.Contains("the importance of column 0 is 3E+38") : Throws.Nothing);
    }

    [Test]
    public void SteadyStateAllocatesNothing([Values] EncodeMode mode, [Values] bool weighted)
    {
        float[] weights = SampleWeights.Cosines[..1024];
        float[] importance = weighted ? weights[..512].Select(Math.Abs).ToArray() : [];
        var wire = new byte[codec.GetByteCount(weights.Length)];
        long allocated = Allocations.LeastOf(() =>
            codec.Encode(weights, wire, new EncodeOptions { RowLength = 512, Mode = mode, Importance = importance }));

        Assert.That(allocated, Is.Zero);
    }

    private Action Encoding(int weights, int rowLength = 0, float[]? importance = null) => () =>
        codec.Encode(new float[weights], new byte[100_000], new EncodeOptions { RowLength = rowLength, Importance = importance });
}
