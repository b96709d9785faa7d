using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>What holds for every encoder and any weights.</summary>
[TestFixtureSource(typeof(QuantCodec), nameof(QuantCodec.Quantized))]
public class EncodePropertyTests(QuantCodec codec)
{
    private static readonly float[] Importance = MakeImportance();

    private static IEnumerable<(EncodeMode Mode, float[] Importance)> Settings =>
        from mode in Enum.GetValues<EncodeMode>()
        from importance in (float[][])[[], Importance]
        select (mode, importance);

    [SeededProperty(Arbitrary = [typeof(WeightRows)], MaxTest = 40)]
    public void NoWeightIsFarOff(WeightRow row)
    {
        float[] weights = AwayFromSubnormals(row);
        float[] decoded = Decode(Encode(weights, EncodeMode.Reference, []));

        for (int start = 0; start < weights.Length; start += codec.WeightsPerBlock)
        {
            float largest = weights.Skip(start).Take(codec.WeightsPerBlock).Max(Math.Abs);
            for (int i = start; i < start + codec.WeightsPerBlock; i++)
            {
                Assert.That(decoded[i], Is.EqualTo(weights[i]).Within(largest * ErrorBounds.WorstWeight(codec)), $"weight {i}");
            }
        }
    }

    [SeededProperty(Arbitrary = [typeof(WeightRows)], MaxTest = 25)]
    public void PowersOfTwoPassThrough(WeightRow row)
    {
        float[] weights = AwayFromSubnormals(row);
        float[] fourfold = [.. weights.Select(weight => 4 * weight)];

        foreach (float[] importance in (float[][])[[], Importance])
        {
            float[] expected = [.. Decode(Encode(weights, EncodeMode.Reference, importance)).Select(weight => 4 * weight)];

            // Not exactly: minimums near zero are still subnormal in binary16, small scales in eight bits.
            Assert.That(
                Decode(Encode(fourfold, EncodeMode.Reference, importance)),
                Is.EqualTo(expected).Within(codec.MaxWeight < 8192 ? 0.25 : 1e-4),
                $"{importance.Length} importances");
        }
    }

    [SeededProperty(Arbitrary = [typeof(WeightRows)], MaxTest = 10)]
    public void OnlyTheRatioOfImportanceMatters(WeightRow row)
    {
        float[] larger = [.. Importance.Select(value => 1024 * value)];

        Assert.Multiple(() =>
        {
            foreach (EncodeMode mode in Enum.GetValues<EncodeMode>())
            {
                Assert.That(Encode(row.Weights, mode, larger), Is.EqualTo(Encode(row.Weights, mode, Importance)), $"{mode}");
            }
        });
    }

    [SeededProperty(Arbitrary = [typeof(WeightRows)], MaxTest = 5)]
    public void RowsDoNotInfluenceEachOther(WeightRow a, WeightRow b, WeightRow c)
    {
        float[] together = [.. a.Weights, .. b.Weights, .. c.Weights];

        foreach ((EncodeMode mode, float[] importance) in Settings)
        {
            byte[][] rows = [Encode(a.Weights, mode, importance), Encode(b.Weights, mode, importance), Encode(c.Weights, mode, importance)];
            Assert.That(Encode(together, mode, importance), Is.EqualTo(Stack(rows)), $"{mode}, {importance.Length}");
        }
    }

    // The first plane of every row, then the second.
    private byte[] Stack(byte[][] rows)
    {
        List<byte> bytes = [];
        int start = 0, blocks = WeightRows.Length / codec.WeightsPerBlock;
        foreach (CodecPlane plane in codec.Planes)
        {
            int end = start + (blocks * plane.BytesPerBlock);
            bytes.AddRange(rows.SelectMany(row => row[start..end]));
            start = end;
        }

        return [.. bytes];
    }

    [SeededProperty(Arbitrary = [typeof(WeightRows)], MaxTest = 25)]
    public void BestIsNeverWorseThanReference(WeightRow row)
    {
        var best = new EncodeOptions { Mode = EncodeMode.Best };
        double error = WeightedError.Of(codec, row.Weights, best, []);
        Assert.That(error, Is.LessThanOrEqualTo(WeightedError.Of(codec, row.Weights, default, [])), "ggml without importance");

        float[] ones = [.. Enumerable.Repeat(1f, row.Weights.Length)];
        double withOnes = WeightedError.Of(codec, row.Weights, new EncodeOptions { Importance = ones }, []);
        Assert.That(error, Is.LessThanOrEqualTo(withOnes), "ggml with ones");
    }

    [SeededProperty(Arbitrary = [typeof(WeightRows)], MaxTest = 25)]
    public void BestIsNeverWorseThanReferenceWithImportance(WeightRow row)
    {
        double best = WeightedError.Of(
            codec, row.Weights, new EncodeOptions { Mode = EncodeMode.Best, Importance = Importance }, Importance);

        Assert.That(
            best, Is.LessThanOrEqualTo(WeightedError.Of(codec, row.Weights, new EncodeOptions { Importance = Importance }, Importance)));
    }

    /// <summary>
    /// The row, scaled so that its largest weight lies between 1024 and 2048 and scales keep all their bits in binary16; below that for a format
    /// whose weights end earlier.
    /// </summary>
    private float[] AwayFromSubnormals(WeightRow row)
    {
        int exponent = (codec.MaxWeight < 8192 ? 6 : 10) - MathF.ILogB(Math.Max(row.Weights.Max(Math.Abs), 1e-6f));
        return [.. row.Weights.Select(weight => MathF.ScaleB(weight, exponent))];
    }

    private byte[] Encode(float[] weights, EncodeMode mode, float[] importance)
    {
        var wire = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, wire, new EncodeOptions { RowLength = WeightRows.Length, Mode = mode, Importance = importance });
        return wire;
    }

    private float[] Decode(byte[] wire)
    {
        var weights = new float[wire.Length / codec.BytesPerBlock * codec.WeightsPerBlock];
        codec.Decode(wire, weights);
        return weights;
    }

    /// <summary>Spread over some powers of ten, as measured importances are, with a few columns that never mattered.</summary>
    private static float[] MakeImportance()
    {
        var random = new NumpyRandom(99);
        var importance = new float[WeightRows.Length];
        for (int i = 0; i < importance.Length; i++)
        {
            importance[i] = i % 37 == 5 ? 0 : (float)Math.Exp(1.5 * random.NextNormal());
        }

        return importance;
    }
}
