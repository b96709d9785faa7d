using KQuant.Codecs.Rotations;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Rotations;

/// <summary>Random matrices and sketches against theory.</summary>
public class SketchTests
{
    private static IEnumerable<string> Kernels => RotationKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [Test]
    public void GaussianNumbersHaveTheirMoments()
    {
        var numbers = new GaussianNumbers(1);
        double[] values = [.. Enumerable.Range(0, 200_000).Select(_ => numbers.Next())];
        double[] moments = [.. Enumerable.Range(1, 4).Select(power => values.Average(value => Math.Pow(value, power)))];
        Assert.That(moments, Is.EqualTo((double[])[0, 1, 0, 3]).Within(0.05));
        foreach (double value in new[] { 1e-300, 1e-9, 0.3, 0.70710678, 0.999999, 1, 1.5, 1e10 })
        {
            Assert.That(GaussianNumbers.Log(value), Is.EqualTo(Math.Log(value)).Within(1e-13));
        }
    }

    [Test]
    public void TheOrthogonalFactorIsOrthogonalAndUndone([Values(1, 2, 17, 64, 80, 128)] int size, [ValueSource(nameof(Kernels))] string kernel)
    {
        var rotation = new OrthogonalRotation(size, 7) { Kernel = RotationKernel.All.Single(candidate => candidate.Name == kernel) };
        float[] row = Numbers.Gaussian(size, 3), rotated = [.. row];
        rotation.Apply(rotated);
        float[] matrix = rotation.Matrix.ToArray();
        double[] expected = [.. Enumerable.Range(0, size).Select(i => Enumerable.Range(0, size).Sum(j => (double)matrix[(i * size) + j] * row[j]))];
        Assert.That(rotated, Is.EqualTo(expected).Within(1e-5));
        rotation.ApplyTransposed(rotated);
        Assert.That(rotated, Is.EqualTo(row).Within(1e-5));
    }

    [Test]
    public void KernelsHaveTheSameBits([Values(1, 16, 17, 48, 64, 80, 128, 200)] int columns)
    {
        float[] matrix = Numbers.Gaussian(33 * columns, 1), weights = Numbers.Gaussian(33, 2);
        int[][] all = [.. RotationKernel.All.Where(kernel => kernel.IsSupported).Select(kernel =>
        {
            var result = new float[columns];
            kernel.Combine(matrix, weights, result);
            return Numbers.Bits(result);
        })];
        Assert.That(all, Is.All.EqualTo(all[^1]));
    }

    /// <summary>Without bias, and for Gaussian directions with the variance (π/2 |q|² |k|² - (q k)²) / m.</summary>
    [Test]
    public void EstimatesAreUnbiased([Values] bool isOrthogonal, [Values(16, 64)] int size)
    {
        const int dimension = 64, trials = 2000;
        float[] key = Numbers.Gaussian(dimension, 1), query = Numbers.Gaussian(dimension, 2);
        double product = key.Zip(query, (a, b) => (double)a * b).Sum(), keys = key.Sum(a => (double)a * a), queries = query.Sum(a => (double)a * a);
        double variance = ((Math.PI / 2 * keys * queries) - (product * product)) / size;
        double[] errors = new double[trials];
        float[] projected = new float[size];
        for (int trial = 0; trial < trials; trial++)
        {
            var sketch = new SignSketch(dimension, size, trial, isOrthogonal);
            byte[] signs = new byte[sketch.ByteCount];
            float length = sketch.Encode(key, signs);
            sketch.Project(query, projected);
            errors[trial] = sketch.Estimate(projected, signs, length) - product;
        }

        double measured = errors.Average(error => error * error);
        Assert.That(Math.Abs(errors.Average()), Is.LessThan(4 * Math.Sqrt(measured / trials)));
        Assert.That(measured, isOrthogonal ? Is.LessThan(variance) : Is.EqualTo(variance).Within(10).Percent);
    }

    /// <summary>Directions at right angles, as many as dimensions, leave π/2 - 1 of the squared length; those that are not leave π/2.</summary>
    [Test]
    public void WhatIsDecodedHasTheErrorOfTheory([Values] bool isOrthogonal)
    {
        const int dimension = 128, count = 200;
        var sketch = new SignSketch(dimension, dimension, 5, isOrthogonal);
        byte[] signs = new byte[sketch.ByteCount];
        float[] decoded = new float[dimension], projected = new float[dimension];
        double error = 0;
        for (int i = 0; i < count; i++)
        {
            float[] vector = Numbers.Gaussian(dimension, i), other = Numbers.Gaussian(dimension, count + i);
            float length = sketch.Encode(vector, signs);
            sketch.Decode(signs, length, decoded);
            error += Numbers.Nmse(decoded, vector) / count;
            sketch.Project(other, projected);
            Assert.That(sketch.Estimate(projected, signs, length), Is.EqualTo(decoded.Zip(other, (a, b) => (double)a * b).Sum()).Within(1e-3), "the same product");
        }

        Assert.That(error, Is.EqualTo((Math.PI / 2) - (isOrthogonal ? 1 : 0)).Within(3).Percent);
    }

    [Test]
    public void WhatCannotBeIsRefused()
    {
        Assert.That(() => new SignSketch(64, 65, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new OrthogonalRotation(1025, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        var sketch = new SignSketch(64, 32, 1);
        Assert.That(() => sketch.Encode(new float[63], new byte[4]), Throws.ArgumentException.With.Message.Contains("is 63; 64 was expected"));
        Assert.That(() => sketch.Estimate(new float[32], new byte[3], 1), Throws.ArgumentException.With.Message.Contains("is 3; 4 was expected"));
    }
}
