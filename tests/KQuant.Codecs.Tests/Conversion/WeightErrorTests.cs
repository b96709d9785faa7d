using FsCheck;
using KQuant.Codecs.Conversion;

namespace KQuant.Codecs.Tests.Conversion;

/// <summary>The measures of <see cref="WeightError"/> against their definitions.</summary>
public class WeightErrorTests
{
    [Test]
    public void MeasuresByDefinition([Values(0, 1, 7, 8, 33, 1000)] int count)
    {
        var random = new Random(count);
        float[] x = [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        float[] y = [.. x.Select(value => value + (0.1f * (random.NextSingle() - 0.5f)))];
        var error = WeightError.Measure(x, y);
        double squares = x.Zip(y, (a, b) => Math.Pow((double)b - a, 2)).Sum(), reference = x.Sum(a => (double)a * a);
        double dot = x.Zip(y, (a, b) => (double)a * b).Sum(), actual = y.Sum(b => (double)b * b);
        Assert.Multiple(() =>
        {
            Assert.That(error.Count, Is.EqualTo(count));
            Assert.That(error.Rmse, Is.EqualTo(count == 0 ? 0 : Math.Sqrt(squares / count)).Within(1e-10).Percent);
            Assert.That(error.Nmse, Is.EqualTo(count == 0 ? 0 : squares / reference).Within(1e-10).Percent);
            Assert.That(error.Cosine, Is.EqualTo(count == 0 ? 1 : dot / Math.Sqrt(reference * actual)).Within(1e-10).Percent);
            Assert.That(error.MaxAbsolute, Is.EqualTo(x.Zip(y, (a, b) => Math.Abs((double)b - a)).Append(0).Max()));
        });
    }

    [SeededProperty]
    public bool PartsAddUpToTheWhole(int[] weights, int[] errors, NonNegativeInt cut)
    {
        int count = Math.Min(weights.Length, errors.Length), at = cut.Get % (count + 1);
        float[] x = [.. weights.Take(count).Select(weight => weight / 100f)];
        float[] y = [.. x.Zip(errors, (weight, error) => weight + (error / 1000f))];
        WeightError sum = WeightError.Measure(x.AsSpan(0, at), y.AsSpan(0, at)) + WeightError.Measure(x.AsSpan(at), y.AsSpan(at));
        var whole = WeightError.Measure(x, y);
        return sum.Count == whole.Count && sum.MaxAbsolute.Equals(whole.MaxAbsolute)
            && Near(sum.Rmse, whole.Rmse) && Near(sum.Nmse, whole.Nmse) && Near(sum.Cosine, whole.Cosine);

        static bool Near(double a, double b) => a.Equals(b) || Math.Abs(a - b) <= 1e-12 * Math.Max(Math.Abs(a), Math.Abs(b));
    }

    [Test]
    public void EqualWeightsHaveNoError()
    {
        float[] x = [0, 0, 1, -3e38f, float.Epsilon];
        var error = WeightError.Measure(x, x);
        Assert.That((error.Rmse, error.Nmse, error.Cosine, error.MaxAbsolute), Is.EqualTo((0.0, 0.0, 1.0, 0.0)));
        Assert.That(WeightError.Measure([0, 0], [0, 1]).Nmse, Is.EqualTo(double.PositiveInfinity));
    }

    [Test]
    public void LengthsMustAgree() => Assert.That(
        () => WeightError.Measure(new float[3], new float[4]),
        Throws.ArgumentException.With.Message.StartsWith("4 weights cannot be compared with 3."));
}
