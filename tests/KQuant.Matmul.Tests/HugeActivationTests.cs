using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Activations near the largest floats: a product is a number where its sum is one, and infinite where it is none, on every tier.</summary>
public class HugeActivationTests
{
    private const int Outputs = 35, HalfColumns = 512;

    private static readonly int[] RowCounts = [1, 3, 8, 20];

    // Products in float32 add as floats do.
    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All.Where(codec => codec.Integers is not null);

    /// <summary>The second half of a row cancels out the first, which alone is far beyond the floats.</summary>
    [TestCaseSource(nameof(Codecs))]
    public void WhatCancelsOutStaysFinite(QuantCodec codec)
    {
        QuantizedTensor weights = Twice(codec);
        foreach (int rows in RowCounts)
        {
            float[] x = [.. Enumerable.Range(0, rows * 2 * HalfColumns).Select(i => i % (2 * HalfColumns) < HalfColumns ? 3e38f : -3e38f)];
            double[] halves = Sums(weights, x, HalfColumns);
            Assert.That(halves.Count(sum => Math.Abs(sum) > 2.0 * float.MaxValue), Is.GreaterThan(Outputs / 3), "prefixes overflow");
            float limit = (float)(1e-5 * halves.Max(Math.Abs));
            foreach (KernelTier tier in Tiers())
            {
                using MatmulContext context = Contexts.Create(maxTier: tier);
                float[] y = context.Multiply(weights, x);
                Assert.That(y, Has.All.InRange(-limit, limit), $"{tier}, M={rows}");
            }
        }
    }

    [TestCaseSource(nameof(Codecs))]
    public void WhatIsBeyondTheFloatsIsInfinite(QuantCodec codec)
    {
        QuantizedTensor weights = Twice(codec);
        var kinds = new HashSet<bool>();
        foreach (int rows in RowCounts)
        {
            float[] x = [.. Enumerable.Range(0, rows * 2 * HalfColumns).Select(i => i / (2 * HalfColumns) % 2 == 0 ? 3e38f : 1e34f)];
            double[] sums = Sums(weights, x, 2 * HalfColumns);
            foreach (KernelTier tier in Tiers())
            {
                using MatmulContext context = Contexts.Create(maxTier: tier);
                float[] y = context.Multiply(weights, x);
                for (int i = 0; i < y.Length; i++)
                {
                    double size = Math.Abs(sums[i]) / float.MaxValue;
                    if (size is < 0.99 or > 1.01)
                    {
                        Assert.That(y[i], size < 1 ? Is.EqualTo(sums[i]).Within(1).Percent : Is.EqualTo(sums[i] < 0 ? float.NegativeInfinity : float.PositiveInfinity), $"{tier}, M={rows}, {i}");
                    }
                }
            }

            kinds.UnionWith(sums.Select(sum => Math.Abs(sum) > float.MaxValue));
        }

        Assert.That(kinds, Has.Count.EqualTo(2), "some are numbers and some are not");
    }

    /// <summary>A row that is huge is no reason to compute its neighbours otherwise.</summary>
    [TestCaseSource(nameof(Codecs))]
    public void NeighboursKeepTheirBits(QuantCodec codec)
    {
        QuantizedTensor weights = Twice(codec);
        float[] ordinary = Numbers.Gaussian(3 * 2 * HalfColumns, 5), mixed = [.. ordinary];
        mixed.AsSpan(2 * HalfColumns, 2 * HalfColumns).Fill(1e38f);
        foreach (KernelTier tier in Tiers())
        {
            using MatmulContext context = Contexts.Create(maxTier: tier);
            float[] expected = context.Multiply(weights, ordinary), actual = context.Multiply(weights, mixed);
            Assert.That(Numbers.Bits(actual.AsSpan(0, Outputs)), Is.EqualTo(Numbers.Bits(expected.AsSpan(0, Outputs))), $"{tier}");
            Assert.That(Numbers.Bits(actual.AsSpan(2 * Outputs)), Is.EqualTo(Numbers.Bits(expected.AsSpan(2 * Outputs))), $"{tier}");
        }
    }

    private static IEnumerable<KernelTier> Tiers() => KernelTiers.All.ToArray().Where(KernelTiers.IsSupported);

    /// <summary>Rows whose second half is the first again.</summary>
    private static QuantizedTensor Twice(QuantCodec codec)
    {
        byte[] half = RandomWeights.Create(codec, Outputs, HalfColumns, new Random(20261129 + codec.Index), (Half)(codec.WeightsPerBlock == 32 ? 0.5 : 0.01));
        int bytes = (int)codec.GetByteCount(HalfColumns);
        byte[] whole = new byte[2 * half.Length];
        for (int row = 0; row < Outputs; row++)
        {
            half.AsSpan(row * bytes, bytes).CopyTo(whole.AsSpan(2 * row * bytes));
            half.AsSpan(row * bytes, bytes).CopyTo(whole.AsSpan(((2 * row) + 1) * bytes));
        }

        return QuantizedTensor.FromMemory(codec, new QuantShape(Outputs, 2 * HalfColumns), whole);
    }

    /// <summary>Sums of the first columns in float64.</summary>
    private static double[] Sums(QuantizedTensor weights, float[] x, int columns)
    {
        float[] w = RandomTensors.Decode(weights);
        return [.. Enumerable.Range(0, x.Length / (2 * HalfColumns) * Outputs).Select(i =>
            Enumerable.Range(0, columns).Sum(k => (double)w[(i % Outputs * 2 * HalfColumns) + k] * x[(i / Outputs * 2 * HalfColumns) + k]))];
    }
}
