using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Gradients with respect to activations, against float64 and against differences of the product itself.</summary>
public class GradientTests
{
    private static IEnumerable<QuantCodec> Formats => Contexts.Formats;

    [TestCaseSource(nameof(Formats))]
    public void TheGradientPredictsDifferencesOfTheProduct(QuantCodec codec)
    {
        const int Rows = 3, Outputs = 30;
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(Outputs, columns));
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        float[] x = Numbers.Gaussian(Rows * columns, 1);
        float[] direction = Numbers.Gaussian(Rows * columns, 2);
        float[] dy = Numbers.Gaussian(Rows * Outputs, 3);

        // The product is linear: a central difference with a large step is as exact as float32 allows.
        double ahead = Dot(dy, context.Multiply(weights, Add(x, direction)));
        double behind = Dot(dy, context.Multiply(weights, Add(x, [.. direction.Select(value => -value)])));

        double predicted = Dot(context.MultiplyTransposed(weights, dy), direction);
        Assert.That((ahead - behind) / 2, Is.EqualTo(predicted).Within(1e-5 * Scale(weights, dy, direction)));
    }

    [TestCaseSource(nameof(Formats))]
    public void AGatherAddsUpWhatSharedAnItem(QuantCodec codec)
    {
        // Item 0 is used by one entry, item 1 by three, item 2 by none.
        const int Experts = 4, Outputs = 30, Rows = 2;
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(Experts, Outputs, columns));
        int[] lhs = [1, 0, 1, 1], rhs = [3, 0, 3, 2];
        float[] dy = Numbers.Gaussian(4 * Rows * Outputs, 1);
        var expected = new float[3 * Rows * columns];
        for (int entry = 0; entry < 4; entry++)
        {
            float[] part = ReferenceProduct.MultiplyTransposed(experts, dy.AsSpan(entry * Rows * Outputs, Rows * Outputs), rhs[entry]);
            for (int i = 0; i < part.Length; i++)
            {
                expected[(lhs[entry] * Rows * columns) + i] += part[i];
            }
        }

        var dx = new float[expected.Length];
        dx.AsSpan().Fill(float.NaN);
        using MatmulContext context = Contexts.Create();
        QuantizedMatmul.GatherGradient(experts, dy, [3, Rows, columns], lhs, rhs, dx, context);

        Assert.That(Numbers.Nmse(dx, expected), Is.LessThan(1e-12));
        Assert.That(dx[(2 * Rows * columns)..], Is.All.Zero);
    }

    [TestCaseSource(nameof(Formats))]
    public void TheOtherSideHasAGradientToo(QuantCodec codec)
    {
        const int Experts = 3, Outputs = 30;
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(Experts, Outputs, columns));
        int[] lhs = [1, 1], rhs = [2, 0];
        float[] dy = Numbers.Gaussian(2 * columns, 1);
        float[] first = ReferenceProduct.Multiply(experts, dy.AsSpan(0, columns), 2);
        float[] second = ReferenceProduct.Multiply(experts, dy.AsSpan(columns), 0);
        var dx = new float[2 * Outputs];

        // Int8 contexts too: a gradient is never quantized.
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Int8);
        QuantizedMatmul.GatherTransposedGradient(experts, dy, [2, 1, Outputs], lhs, rhs, dx, context);

        Assert.That(dx[..Outputs], Is.All.Zero);
        Assert.That(Numbers.Nmse(dx.AsSpan(Outputs), Add(first, second)), Is.LessThan(1e-12));
    }

    [Test]
    public void ManyTokensOnManyThreads([Values(1, 2, 8)] int threads)
    {
        const int Tokens = 40, PerToken = 4, Columns = 256, Outputs = 70;
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q4_K, QuantShape.Stack(8, Outputs, Columns));
        var random = new Random(5);
        int[] ids = [.. Enumerable.Range(0, Tokens * PerToken).Select(_ => random.Next(8))];
        float[] dy = Numbers.Gaussian(Tokens * PerToken * Outputs, 1);
        using MatmulContext context = Contexts.Create(threads);
        var dx = new float[Tokens * Columns];
        QuantizedMatmul.GatherGradient(experts, dy, [Tokens, 1, 1, Columns], default, new IndexArray(ids, [Tokens, PerToken]), dx, context);

        var expected = new float[dx.Length];
        for (int entry = 0; entry < ids.Length; entry++)
        {
            float[] part = context.MultiplyTransposed(experts.GetExpert(ids[entry]), dy[(entry * Outputs)..((entry + 1) * Outputs)]);
            for (int k = 0; k < Columns; k++)
            {
                ref float sum = ref expected[(entry / PerToken * Columns) + k];
                sum = entry % PerToken == 0 ? part[k] : sum + part[k];
            }
        }

        Assert.That(Numbers.Bits(dx), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void WithoutEntriesTheGradientIsZero()
    {
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q8_0, QuantShape.Stack(2, 3, 32));
        using MatmulContext context = Contexts.Create();
        float[] dx = [.. Enumerable.Repeat(1f, 64)];

        QuantizedMatmul.GatherGradient(
            experts, ReadOnlySpan<float>.Empty, [2, 1, 32], new IndexArray([], [0]), new IndexArray([], [0]), dx, context);

        Assert.That(dx, Is.All.Zero);
    }

    private static float[] Add(float[] a, float[] b) => [.. a.Zip(b, (left, right) => left + right)];

    private static double Dot(float[] a, float[] b) => a.Zip(b, (left, right) => (double)left * right).Sum();

    private static double Scale(QuantizedTensor weights, float[] dy, float[] direction) =>
        Math.Sqrt(Dot(dy, dy) * Dot(direction, direction)) * Math.Sqrt(RandomTensors.Decode(weights).Max(weight => (double)weight * weight));
}
