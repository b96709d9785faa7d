using KQuant.Codecs.Conversion;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>The number of threads changes neither bytes nor errors.</summary>
public class EncodeThreadsTests
{
    private static IEnumerable<QuantCodec> Codecs => QuantCodec.Quantized;

    [Test]
    public void BytesDoNotDependOnThreads([ValueSource(nameof(Codecs))] QuantCodec codec, [Values] bool weighted)
    {
        // Three times what a thread takes at once, and a little.
        float[] weights = SampleWeights.SetA.Weights[..(70 * 512)];
        float[] importance = weighted ? SampleWeights.SetA.Importance : [];
        byte[] expected = Encode(codec, weights, importance, EncodeMode.Reference, 1);

        Assert.Multiple(() =>
        {
            foreach (int threads in (int[])[2, 8, -1])
            {
                byte[] actual = Encode(codec, weights, importance, EncodeMode.Reference, threads);
                Assert.That(actual, Is.EqualTo(expected), $"{threads} threads");
            }
        });
    }

    [Test]
    public void BytesOfBestDoNotDependOnThreads([ValueSource(nameof(Codecs))] QuantCodec codec)
    {
        // A little more than a thread takes at once.
        float[] weights = SampleWeights.SetA.Weights[..(36 * 512)];

        Assert.That(Encode(codec, weights, [], EncodeMode.Best, 2), Is.EqualTo(Encode(codec, weights, [], EncodeMode.Best, 1)));
    }

    [Test]
    public void TheLowestFailingRowIsReported([Values(1, 2, 3, 8, -1)] int threads, [Values(0, 33, 127, 255)] int row)
    {
        var weights = (float[])SampleWeights.SetA.Weights.Clone();
        for (int bad = row; bad < 256; bad++)
        {
            weights[(bad * 512) + 11] = bad % 2 == 0 ? float.NaN : 1e30f;
        }

        var codec = QuantCodec.Get(QuantFormat.Q4_0);
        var error = Assert.Throws<InvalidWeightException>(() => codec.Encode(
            weights,
            new byte[codec.GetByteCount(weights.Length)],
            new EncodeOptions { RowLength = 512, MaxDegreeOfParallelism = threads, FirstRow = 5_000_000_000 }));

        Assert.That(error!.Row, Is.EqualTo(5_000_000_000 + row));
    }

    [Test]
    public void CancellationIsSeenBeforeAnyRow([Values(1, 2)] int threads)
    {
        using var source = new CancellationTokenSource();
        source.Cancel();
        var codec = QuantCodec.Get(QuantFormat.Q8_0);
        var wire = new byte[codec.GetByteCount(SampleWeights.SetA.Weights.Length)];

        Assert.That(
            () => codec.Encode(
                SampleWeights.SetA.Weights,
                wire,
                new EncodeOptions { RowLength = 512, MaxDegreeOfParallelism = threads },
                source.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(wire, Is.All.Zero);
    }

    [TestCase(0)]
    [TestCase(-2)]
    public void NoNumberOfThreads(int threads)
    {
        Action[] uses =
        [
            () => _ = new EncodeOptions { MaxDegreeOfParallelism = threads }.MaxDegreeOfParallelism,
            () => _ = new ConversionOptions { MaxDegreeOfParallelism = threads },
            () => _ = new VerificationOptions { MaxDegreeOfParallelism = threads },
        ];
        foreach (Action use in uses)
        {
            Assert.That(
                () => use(),
                Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.StartsWith(
                    FormattableString.Invariant(
                        $"MaxDegreeOfParallelism is {threads}; it must be -1, for one thread per processor, or a positive limit.")));
        }

        Assert.That(new EncodeOptions().MaxDegreeOfParallelism, Is.EqualTo(1));
    }

    private static byte[] Encode(QuantCodec codec, float[] weights, float[] importance, EncodeMode mode, int threads)
    {
        var wire = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, wire, new EncodeOptions { RowLength = 512, Importance = importance, Mode = mode, MaxDegreeOfParallelism = threads });
        return wire;
    }
}
