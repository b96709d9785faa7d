using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>Blocks at the edges of what encoders meet, with and without importance.</summary>
[TestFixtureSource(typeof(QuantCodec), nameof(QuantCodec.Quantized))]
public class EncodeEdgeCaseTests(QuantCodec codec)
{
    private static readonly (string Name, Func<int, float> Weight)[] Blocks =
    [
        ("zeros", _ => 0),
        ("constant", _ => 0.75f),
        ("negative constant", _ => -0.75f),
        ("zero sub-blocks", i => i / 32 % 2 == 0 ? 0 : Normal(i)),
        ("1e-20", i => 1e-20f * Normal(i)),
        ("1e-12", i => 1e-12f * Normal(i)),
        ("1e-6", i => 1e-6f * Normal(i)),
        ("6e4", i => 6e4f * MathF.Sin(i)),
        ("positive", i => 1 + MathF.Abs(Normal(i))),
        ("spike", i => i == 77 ? 100 : 0.01f * Normal(i)),
        ("integers", i => (i * 37 % 15) - 7),
        ("halves", i => (i * 37 % 15) - 7.5f),
        ("denormals", i => float.Epsilon * (i % 9)),
    ];

    private static readonly (string Name, Func<int, float>? Importance)[] Importances =
    [
        ("none", null),
        ("ones", _ => 1),
        ("some zeros", i => i % 3),
        ("zeros", _ => 0),
        ("1e-30", i => 1e-30f * i),
        ("1e20", i => 1e20f * i),
    ];

    private static IEnumerable<TestCaseData> Cases =>
        from block in Blocks
        from importance in Importances
        from mode in Enum.GetValues<EncodeMode>()
        select new TestCaseData(block.Weight, importance.Importance, mode).SetArgDisplayNames(block.Name, importance.Name, mode.ToString());

    [TestCaseSource(nameof(Cases))]
    public void DecodesToFiniteWeightsOfTheSameSize(Func<int, float> weight, Func<int, float>? importance, EncodeMode mode)
    {
        float[] weights = [.. Enumerable.Range(0, 256).Select(i => Math.Clamp(weight(i), -codec.MaxWeight, codec.MaxWeight))];
        float[] importances = importance is null ? [] : [.. Enumerable.Range(0, 256).Select(importance)];
        var first = new byte[codec.GetByteCount(256)];
        var second = new byte[first.Length];
        Array.Fill(second, (byte)0xFF);
        var options = new EncodeOptions { Importance = importances, Mode = mode };

        codec.Encode(weights, first, options);
        codec.Encode(weights, second, options);
        var decoded = new float[256];
        codec.Decode(first, decoded);

        float largest = weights.Max(Math.Abs);
        Assert.That(second, Is.EqualTo(first), "the same bytes again");
        Assert.That(decoded.Max(Math.Abs), Is.LessThanOrEqualTo(largest * 1.7f).Or.LessThan(HalfNoise));
    }

    [Test]
    public void BestSavesWhatReferenceLosesInSubnormalScales()
    {
        // Scales of q8_0 near the least binary16 number: ggml chooses codes for a scale that cannot be stored.
        float[] weights = [.. Enumerable.Range(0, 256).Select(i => 2e-6f * Normal(i))];

        double reference = WeightedError.Of(codec, weights, default, []);
        double best = WeightedError.Of(codec, weights, new EncodeOptions { Mode = EncodeMode.Best }, []);

        double energy = weights.Sum(weight => (double)weight * weight);
        Assert.That(best, Is.LessThanOrEqualTo(Math.Min(reference, energy)));
    }

    /// <summary>The largest error that rounding a scale to a subnormal binary16 can cause: half of 2^-24, times scale and code.</summary>
    private const float HalfNoise = 63 * 31 / 16777216f;

    private static float Normal(int i) => SampleWeights.SetA.Weights[i] * 10;
}
