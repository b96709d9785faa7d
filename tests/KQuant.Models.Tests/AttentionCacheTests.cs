using KQuant.Models.Evaluation;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Caches without a model, and what is measured with them.</summary>
public class AttentionCacheTests
{
    private const int Heads = 2;
    private const int Size = 64;

    private readonly RandomModels _models = new();

    private static IEnumerable<string> Formats => CacheFormat.All.Select(format => format.Name);

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    /// <summary>Softmax attention as it is written down, over 1,100 tokens, which are three parts.</summary>
    [TestCase(0, 0)]
    [TestCase(600, 4)]
    public void AttendsToWhatWasAppended(int window, int kept)
    {
        const int tokens = 1100, group = 3;
        float[] keys = Numbers.Gaussian(tokens * Heads * Size, 1), values = Numbers.Gaussian(tokens * Heads * Size, 2);
        float[] queries = Numbers.Gaussian(Heads * group * Size, 3), outputs = new float[queries.Length];
        using AttentionCache cache = new KeyValueCacheBuilder().WithFormat(CacheFormat.F32).WithHeads(Heads, Size).WithWindow(window, kept).Build();
        for (int token = 0; token < tokens; token++)
        {
            cache.Append(keys.AsSpan(token * Heads * Size, Heads * Size), values.AsSpan(token * Heads * Size, Heads * Size));
        }

        cache.Attend(queries, outputs);
        int[] seen = [.. Enumerable.Range(0, tokens).Where(token => window == 0 || token < kept || token >= tokens - (window - kept))];
        for (int row = 0; row < Heads * group; row++)
        {
            int head = row / group;
            double[] weights = [.. seen.Select(token => Math.Exp(
                Enumerable.Range(0, Size).Sum(i => (double)keys[(((token * Heads) + head) * Size) + i] * queries[(row * Size) + i]) / Math.Sqrt(Size)))];
            double[] expected = [.. Enumerable.Range(0, Size).Select(
                i => seen.Zip(weights, (token, weight) => weight * values[(((token * Heads) + head) * Size) + i]).Sum() / weights.Sum())];
            Assert.That(outputs.Skip(row * Size).Take(Size), Is.EqualTo(expected).Within(1e-5), $"row {row}");
        }
    }

    [Test]
    public void EveryFormatIsNearAndReportsWhatItHolds([ValueSource(nameof(Formats))] string name)
    {
        float[] rows = Numbers.Gaussian(200 * Heads * Size, 4), query = Numbers.Gaussian(Heads * Size, 5), actual = new float[Heads * Size];
        float[] again = new float[actual.Length], expected = new float[actual.Length];
        using AttentionCache cache = new KeyValueCacheBuilder().WithFormat(name.ToUpperInvariant()).WithHeads(Heads, Size).WithCapacity(200).Build();
        using AttentionCache exact = new KeyValueCacheBuilder().WithFormat(CacheFormat.F32).WithHeads(Heads, Size).Build();
        cache.Attend(query, actual);
        Assert.That(actual, Is.All.Zero, "nothing is there");
        Fill();
        cache.Attend(query, actual);
        exact.Attend(query, expected);
        double product = actual.Zip(expected, (a, b) => (double)a * b).Sum();
        Assert.That(product / Math.Sqrt(actual.Sum(a => (double)a * a) * expected.Sum(a => (double)a * a)), Is.GreaterThan(0.6));
        CacheFormat format = CacheFormat.All.Single(candidate => candidate.Name == name);
        Assert.That(cache.GetByteCount(208), Is.EqualTo(208L * Heads * (format.GetKeyByteCount(Size) + format.GetValueByteCount(Size))));
        Assert.That(cache.ByteCount, Is.EqualTo(cache.GetByteCount(200)), "it grows to its capacity and no further");
        Assert.That(() => cache.Append(query, query), Throws.InvalidOperationException.With.Message.EqualTo("The cache holds 200 tokens, which is its capacity."));
        cache.Clear();
        Fill();
        cache.Attend(query, again);
        Assert.That(Numbers.Bits(again), Is.EqualTo(Numbers.Bits(actual)));

        void Fill()
        {
            for (int token = 0; token < 200; token++)
            {
                ReadOnlySpan<float> row = rows.AsSpan(token * Heads * Size, Heads * Size);
                cache.Append(row, row);
                exact.Append(row, row);
            }
        }
    }

    [Test]
    public void WhatCannotBeIsRefusedWhenItIsBuilt()
    {
        Assert.That(() => new KeyValueCacheBuilder().WithFormat("q3_k"), Throws.ArgumentException.With.Message.Contains("'q3_k'").And.Message.Contains("turboquant_mse4"));
        Assert.That(() => new KeyValueCacheBuilder().WithHeads(0, 64).Build(), Throws.ArgumentException.With.Message.Contains("not 0"));
        Assert.That(() => new KeyValueCacheBuilder().WithCapacity(0).Build(), Throws.ArgumentException.With.Message.Contains("not 0"));
        Assert.That(() => new KeyValueCacheBuilder().WithWindow(4, 4).Build(), Throws.ArgumentException.With.Message.Contains("first 4"));
        Assert.That(
            () => new KeyValueCacheBuilder().WithFormat("q4_0").WithHeads(1, 48).Build(), Throws.ArgumentException.With.Message.Contains("blocks of 32 values"));
        using AttentionCache cache = new KeyValueCacheBuilder().WithHeads(2, 64).Build();
        Assert.That(() => cache.Append(new float[64], new float[128]), Throws.ArgumentException.With.Message.Contains("2 heads of 64"));
        Assert.That(() => cache.Append([.. new float[127], float.NaN], new float[128]), Throws.ArgumentException.With.Message.Contains("Number 127 is NaN"));
        Assert.That(() => cache.Attend(new float[100], new float[100]), Throws.ArgumentException.With.Message.Contains("2 heads of 64"));
    }

    /// <summary>The cosines that TurboQuant and PolarQuant were published with, and no bias where there should be none.</summary>
    [TestCase("turboquant_mse2", 0.9411)]
    [TestCase("turboquant_mse3", 0.9832)]
    [TestCase("turboquant_mse4", 0.9954)]
    [TestCase("polar", 0.98397)]
    [TestCase("q8_0", 0.99998)]
    public void CosinesAreThoseOfTheory(string name, double cosine)
    {
        CacheFormat format = CacheFormat.All.Single(candidate => candidate.Name == name);
        CacheQuality quality = CacheErrorMeter.Measure(format, format, tokens: 2048);
        Assert.That((quality.KeyCosine, quality.ValueCosine), Is.EqualTo((cosine, cosine)).Within(1e-3));
        Assert.That(quality.ProductError, Is.EqualTo(Math.Sqrt(1 - (cosine * cosine))).Within(10).Percent.Or.LessThan(0.02));
        Assert.That(quality.ProductBias, Is.Zero.Within(0.01));
        Assert.That(quality.OutputCosine, Is.GreaterThan(cosine - 0.05));
        Assert.That(CacheErrorMeter.Measure(format, format, tokens: 2048), Is.EqualTo(quality), "the same again");
    }

    [Test]
    public void TextsOfTwoCachesAreCompared()
    {
        using LanguageModel model = _models.Load("qwen3", new ModelOptions { LoadTokenizer = false });
        int[] prompt = RandomCheckpoint.Prompt(20);
        CacheComparison same = CacheErrorMeter.Compare(model, prompt, CacheOptions.Uniform(CacheFormat.F16), 12);
        Assert.That((same.CommonTokens, same.MeanDivergence, same.DenseBytes), Is.EqualTo((same.DenseTokens.Count, 0.0, same.OtherBytes)));
        CacheComparison other = CacheErrorMeter.Compare(model, prompt, CacheOptions.Uniform(CacheFormat.TurboQuantMse(2)), 12);
        Assert.That(other.DenseTokens, Is.EqualTo(same.DenseTokens));
        Assert.That(other.MeanDivergence, Is.Positive.And.LessThanOrEqualTo(other.MaxDivergence));
        Assert.That((double)other.DenseBytes / other.OtherBytes, Is.GreaterThan(6));
        Assert.That(() => CacheErrorMeter.Compare(model, [], new CacheOptions()), Throws.ArgumentException);
    }
}
