using KQuant.Matmul.Vectors;

namespace KQuant.Matmul.Tests;

/// <summary>What happens to rows between products, for all lengths around the width of vectors and of runs, against plain loops.</summary>
public class RowMathTests
{
    private static readonly int[] Lengths = [.. Enumerable.Range(1, 70), 1023, 1024, 1025, 1040, 2049];

    [TestCaseSource(nameof(Lengths))]
    public void ElementsAreThoseOfAPlainLoop(int length)
    {
        float[] x = Row(length, 1), y = Row(length, 2), target = new float[length];
        RowMath.Multiply(x, 0.3f, target);
        Assert.That(target, Is.EqualTo(x.Select(value => value * 0.3f)));
        RowMath.Divide(x, 0.3f, target);
        Assert.That(target, Is.EqualTo(x.Select(value => value / 0.3f)));
        RowMath.Subtract(x, 0.3f, target);
        Assert.That(target, Is.EqualTo(x.Select(value => value - 0.3f)));
        y.CopyTo(target, 0);
        RowMath.Add(x, target);
        Assert.That(target, Is.EqualTo(x.Zip(y, (a, b) => b + a)));
        RowMath.Multiply(target, 2, target);
        Assert.That(target, Is.EqualTo(x.Zip(y, (a, b) => (b + a) * 2)));
    }

    [TestCaseSource(nameof(Lengths))]
    public void TheLargestIsFoundWhereItIsFirst(int length)
    {
        float[] x = Row(length, 3);
        for (int place = 0; place < length; place += 1 + (length / 50))
        {
            float[] row = [.. x];
            row[place] = row[^1] = 100;
            Assert.That(RowMath.Max(row), Is.EqualTo(100));
            Assert.That(RowMath.IndexOfMax(row), Is.EqualTo(place));
            row[place] = float.NaN;
            Assert.That(RowMath.Max(row), Is.NaN);
            Assert.That(RowMath.IndexOfMax(row), Is.EqualTo(place));
        }

        Array.Fill(x, float.NegativeInfinity);
        Assert.That(RowMath.Max(x), Is.EqualTo(float.NegativeInfinity));
        Assert.That(RowMath.IndexOfMax(x), Is.Zero);
    }

    [TestCaseSource(nameof(Lengths))]
    public void ExponentialsAddUp(int length)
    {
        float[] x = [.. Row(length, 4).Select(value => value * 20)];
        x[length / 2] = float.NegativeInfinity;
        double expected = x.Sum(value => Math.Exp(value));
        Assert.That(RowMath.SumOfExponentials(x), Is.EqualTo(expected).Within(1e-6 * expected));
    }

    private static float[] Row(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (random.NextSingle() * 2) - 1)];
    }
}
