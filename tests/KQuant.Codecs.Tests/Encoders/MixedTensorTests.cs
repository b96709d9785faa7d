using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>Rows of every kind in one tensor, and what importance and the search are worth on weights that are easy to write down.</summary>
public class MixedTensorTests
{
    private const int Columns = 512;

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All.Where(codec => codec.IsQuantized);

    private static IEnumerable<QuantCodec> KQuants => QuantCodec.All.Where(codec => codec.WeightsPerBlock == 256);

    /// <summary>Zeros, tiny, huge and ordinary rows, signed zeros, ties between codes, one weight among zeros.</summary>
    private static float[][] Rows()
    {
        float[] gaussian = Numbers.Gaussian(Columns, 1);
        return
        [
            new float[Columns],
            [.. gaussian],
            [.. gaussian.Select(value => 1e-7f * value)],
            [.. gaussian.Select(value => 3000 * value)],
            [.. Enumerable.Repeat(-0f, Columns)],
            [.. Enumerable.Range(0, Columns).Select(i => (i % 16) - 7.5f)],
            [.. Enumerable.Range(0, Columns).Select(i => i == 300 ? -2.5f : 0f)],
            [.. Enumerable.Repeat(1.25f, Columns)],
            [.. gaussian.Select((value, i) => i % 2 == 0 ? value : -0f)],
            new float[Columns],
        ];
    }

    [TestCaseSource(nameof(Codecs))]
    public void RowsOfOneTensorKeepToThemselves(QuantCodec codec)
    {
        float[][] rows = [.. Rows().Select(row => row.Select(value => Math.Clamp(value, -codec.MaxWeight, codec.MaxWeight)).ToArray())];
        foreach (EncodeMode mode in Enum.GetValues<EncodeMode>())
        {
            byte[] together = new byte[codec.GetByteCount((long)rows.Length * Columns)];
            codec.Encode(rows.SelectMany(row => row).ToArray(), together, new EncodeOptions { RowLength = Columns, Mode = mode });
            int rowBytes = (int)codec.GetByteCount(Columns);
            for (int i = 0; i < rows.Length; i++)
            {
                byte[] alone = new byte[rowBytes];
                codec.Encode(rows[i], alone, new EncodeOptions { Mode = mode });
                Assert.That(RowOf(codec, together, rows.Length, i).AsSpan().SequenceEqual(alone), $"{mode}, row {i}");
                var decoded = new float[Columns];
                codec.Decode(alone, decoded);
                float largest = rows[i].Max(Math.Abs);
                if (largest == 0)
                {
                    Assert.That(decoded, Has.All.EqualTo(0f), $"{mode}, row {i}");
                }
                else if (largest > 1e-3f)
                {
                    double error = Math.Sqrt(decoded.Zip(rows[i], (a, b) => (double)(a - b) * (a - b)).Sum() / rows[i].Sum(value => (double)value * value));
                    Assert.That(error, Is.LessThan(codec.BitsPerWeight < 2.6 ? 0.6 : 0.4), $"{mode}, row {i}");
                }
                else
                {
                    // Below what binary16 scales can say, weights become zeros or what is nearest.
                    Assert.That(decoded, Has.All.InRange(-1e-6f, 1e-6f), $"{mode}, row {i}");
                }
            }
        }
    }

    /// <summary>The bytes of a row, which lie apart where a codec has several planes.</summary>
    private static byte[] RowOf(QuantCodec codec, byte[] together, int rows, int row)
    {
        List<byte> bytes = [];
        int start = 0;
        foreach (CodecPlane plane in codec.Planes)
        {
            int length = Columns / codec.WeightsPerBlock * plane.BytesPerBlock;
            bytes.AddRange(together.AsSpan(start + (row * length), length));
            start += rows * length;
        }

        return [.. bytes];
    }

    /// <summary>ggml's search with importance looks at more candidates, so that even equal importance lowers the plain error.</summary>
    [TestCaseSource(nameof(KQuants))]
    public void EqualImportanceLowersThePlainErrorOfGaussianWeights(QuantCodec codec)
    {
        float[] importance = [.. Enumerable.Repeat(1f, Columns)];
        double plain = 0, weighted = 0;
        for (int row = 0; row < 16; row++)
        {
            float[] weights = Numbers.Gaussian(Columns, 100 + row);
            plain += WeightedError.Of(codec, weights, new EncodeOptions(), []);
            weighted += WeightedError.Of(codec, weights, new EncodeOptions { Importance = importance }, []);
        }

        Assert.That(weighted, Is.LessThan(plain));
    }

    /// <summary>On weights that rise evenly, the search is never worse than ggml's encoder, whose errors these are times 1e6 per weight.</summary>
    [TestCaseSource(nameof(Codecs))]
    public void BestIsBelowGgmlOnRamps(QuantCodec codec)
    {
        double best = 0, reference = 0;
        foreach ((float from, float to) in ((float, float)[])[(-1, 1), (0, 1), (-0.5f, 0.25f), (0.9f, 1), (-3, -1)])
        {
            float[] ramp = [.. Enumerable.Range(0, Columns).Select(i => from + ((to - from) * i / (Columns - 1)))];
            double found = WeightedError.Of(codec, ramp, new EncodeOptions { Mode = EncodeMode.Best }, []);
            double ggml = WeightedError.Of(codec, ramp, new EncodeOptions(), []);
            Assert.That(found, Is.LessThanOrEqualTo(ggml), $"{from} to {to}");
            best += found;
            reference += ggml;
        }

        Assert.That(best, Is.LessThan(0.995 * reference));
    }
}
