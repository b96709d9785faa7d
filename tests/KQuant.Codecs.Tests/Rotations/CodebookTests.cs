using KQuant.Codecs.Rotations;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Rotations;

/// <summary>Codebooks against tables and closed forms.</summary>
public class CodebookTests
{
    private static readonly double[] GaussianErrors =
        [0.3633802276, 0.1174818478, 0.0345477608, 0.0095010080, 0.0025046684, 0.0006442397, 0.0001634782, 0.0000411851];

    private static IEnumerable<string> Kernels => RotationKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [TestCase(1, 0.7978845608)]
    [TestCase(2, 0.4527800346, 1.5104176085)]
    [TestCase(3, 0.2450941789, 0.7560052812, 1.3439092785, 2.1519457045)]
    [TestCase(4, 0.1283950299, 0.3880482995, 0.6567591185, 0.9423404565, 1.2562311973, 1.6180463860, 2.0690172265, 2.7325895710)]
    [TestCase(
        5, 0.0658896598, 0.1980518297, 0.3313783058, 0.4666995230, 0.6049336240, 0.7471357037, 0.8945651174, 1.0487833199, 1.2118043806, 1.3863403396, 1.5762280786,
        1.7872332177, 2.0287283994, 2.3177394042, 2.6911195774, 3.2607324934)]
    public void GaussianCodebooksAreTheTables(int bits, params double[] positive)
    {
        float[] expected = [.. positive.Reverse().Select(value => (float)-value), .. positive.Select(value => (float)value)];
        Assert.That(LloydMaxCodebook.Gaussian(bits).Centroids.ToArray(), Is.EqualTo(expected).Within(2e-7));
    }

    [Test]
    public void GaussianErrorsAreTheTables([Range(1, 8)] int bits)
    {
        LloydMaxCodebook codebook = LloydMaxCodebook.Gaussian(bits);
        Assert.That(codebook.MeanSquaredError, Is.EqualTo(GaussianErrors[bits - 1]).Within(1e-9));
        Assert.That(codebook.Bits, Is.EqualTo(bits));
        float[] values = Numbers.Gaussian(1 << 20, bits), decoded = new float[values.Length];
        byte[] codes = new byte[values.Length];
        codebook.Encode(values, codes);
        codebook.Decode(codes, 1, decoded);
        Assert.That(Numbers.Nmse(decoded, values), Is.EqualTo(GaussianErrors[bits - 1]).Within(1e-3).And.EqualTo(GaussianErrors[bits - 1]).Within(1).Percent);
    }

    /// <summary>Every code is the mean of its cell, whatever the density.</summary>
    [Test]
    public void CentroidsAreTheMeansOfTheirCells([Values(1, 3, 6, 8)] int bits)
    {
        foreach ((LloydMaxCodebook codebook, Func<double, double> density, double low, double high) in new (LloydMaxCodebook, Func<double, double>, double, double)[]
        {
            (LloydMaxCodebook.Laplacian(bits), x => Math.Exp(-Math.Abs(x)), -40, 40),
            (LloydMaxCodebook.Beta(bits, 16), x => Math.Pow(1 - (x * x), 6.5), -1, 1),
            (LloydMaxCodebook.Polar(bits, 3), x => Math.Pow(Math.Sin(2 * x), 3), 0, Math.PI / 2),
        })
        {
            float[] centroids = codebook.Centroids.ToArray(), boundaries = codebook.Boundaries.ToArray();
            for (int i = 0; i < centroids.Length; i++)
            {
                double from = i == 0 ? low : boundaries[i - 1], to = i == boundaries.Length ? high : boundaries[i], mass = 0, first = 0;
                const int steps = 20_000;
                for (int step = 0; step < steps; step++)
                {
                    double x = from + ((to - from) * (step + 0.5) / steps), weight = density(x);
                    (mass, first) = (mass + weight, first + (weight * x));
                }

                Assert.That(centroids[i], Is.EqualTo(first / mass).Within(2e-4 * (1 + Math.Abs(centroids[i]))), $"{i} of {centroids.Length}");
            }
        }
    }

    [Test]
    public void KnownDistributionsHaveTheirKnownCodebooks()
    {
        Assert.That(LloydMaxCodebook.Laplacian(1).Centroids.ToArray(), Is.EqualTo((float[])[-1f, 1f]).Within(1e-6));
        double[] laplacian = [.. ((int[])[2, 3, 4]).Select(bits => LloydMaxCodebook.Laplacian(bits).MeanSquaredError / 2)];
        Assert.That(laplacian, Is.EqualTo((double[])[0.1762, 0.0545, 0.0154]).Within(1e-4), "of variance 1, as Max has them");

        // A coordinate of a point on a sphere in space is uniform, as is an angle of the first level.
        Assert.That(LloydMaxCodebook.Beta(2, 3).Centroids.ToArray(), Is.EqualTo((float[])[-0.75f, -0.25f, 0.25f, 0.75f]).Within(1e-6));
        Assert.That(LloydMaxCodebook.Polar(2, 1).Centroids.ToArray(), Is.EqualTo(((int[])[1, 3, 5, 7]).Select(i => i * MathF.PI / 4)).Within(1e-5));
        Assert.That(LloydMaxCodebook.Beta(3, 4096).Centroids.ToArray(), Is.EqualTo(LloydMaxCodebook.Gaussian(3).Centroids.ToArray().Select(x => x / 64)).Within(2e-5));
    }

    /// <summary>Two stages of one codebook each, the second for what the first leaves.</summary>
    [TestCase(1, 0.93249)]
    [TestCase(2, 0.99027)]
    [TestCase(3, 0.99904)]
    public void ASecondStageFitsWhatTheFirstLeaves(int bits, double cosine)
    {
        LloydMaxCodebook first = LloydMaxCodebook.Gaussian(bits), second = LloydMaxCodebook.GaussianResidual(bits, first);
        Assert.That(Math.Sqrt(1 - second.MeanSquaredError), Is.EqualTo(cosine).Within(2e-5));
        Assert.That(second.MeanSquaredError, Is.GreaterThan(GaussianErrors[(2 * bits) - 1]), "one stage of as many bits is better");
    }

    [Test]
    public void SamplesHaveACodebookOfTheirOwn()
    {
        float[] gaussian = Numbers.Gaussian(100_000, 9);
        Assert.That(LloydMaxCodebook.FromSamples(3, gaussian).MeanSquaredError, Is.EqualTo(GaussianErrors[2]).Within(3).Percent);
        float[] two = [.. gaussian.Select((value, i) => (i % 3 == 0 ? -7 : 5) + (value / 100))];
        LloydMaxCodebook adapted = LloydMaxCodebook.FromSamples(1, two);
        Assert.That(adapted.Centroids.ToArray(), Is.EqualTo((float[])[-7f, 5f]).Within(1e-2));
        Assert.That(adapted.MeanSquaredError, Is.EqualTo(1e-4).Within(5).Percent);
        Assert.That(LloydMaxCodebook.FromSamples(2, [1, 1, 1, 1, 2]).Centroids.ToArray().Distinct(), Is.EqualTo((float[])[1f, 2f]), "fewer numbers than codes");
        Assert.That(() => LloydMaxCodebook.FromSamples(2, [1, 2, 3]), Throws.ArgumentException.With.Message.Contains("3 samples").And.Message.Contains("needs 4"));
        Assert.That(() => LloydMaxCodebook.FromSamples(1, [1, float.NaN, 3]), Throws.ArgumentException.With.Message.StartsWith("Sample 1 is NaN."));
    }

    [Test]
    public void KernelsAgreeAndBoundariesBelongAbove([Range(1, 8)] int bits, [Values(1, 15, 16, 100)] int count)
    {
        LloydMaxCodebook book = LloydMaxCodebook.Gaussian(bits);
        float[] values = [.. Numbers.Gaussian(count, bits), book.Boundaries[0], float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        List<(byte[] Codes, int[] Bits)> all = [];
        foreach (RotationKernel kernel in RotationKernel.All.Where(kernel => kernel.IsSupported))
        {
            byte[] codes = new byte[values.Length];
            float[] decoded = new float[values.Length];
            kernel.Assign(values, book.Boundaries, codes);
            kernel.LookUp(codes, book.Centroids, 0.3f, decoded);
            all.Add((codes, Numbers.Bits(decoded)));
            Assert.That(codes[count..], Is.EqualTo(new byte[] { 1, 0, (byte)(book.Centroids.Length - 1), 0 }), kernel.Name);
        }

        Assert.That(all.Select(one => one.Codes), Is.All.EqualTo(all[^1].Codes));
        Assert.That(all.Select(one => one.Bits), Is.All.EqualTo(all[^1].Bits));
    }

    [Test]
    public void WhatCannotBeIsRefused()
    {
        Assert.That(() => LloydMaxCodebook.Gaussian(0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => LloydMaxCodebook.Laplacian(9), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => LloydMaxCodebook.FromDensity(2, _ => 0, 0, 1), Throws.ArgumentException.With.Message.Contains("zero everywhere"));
        Assert.That(() => LloydMaxCodebook.FromDensity(2, _ => double.NaN, 0, 1), Throws.ArgumentException.With.Message.Contains("NaN"));
        Assert.That(() => LloydMaxCodebook.Gaussian(2).Decode([0, 4], 1, new float[2]), Throws.ArgumentException.With.Message.StartsWith("Code 1 is 4; there are 4."));
    }
}
