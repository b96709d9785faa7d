using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>The bounds that ggml holds its own kernels to, on its own kinds of data.</summary>
public class GgmlBoundsTests
{
    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All;

    /// <summary>A dot product of 4096 values of two shifted cosines, encoded by our encoder, is off by less than 0.02 per value.</summary>
    [TestCaseSource(nameof(Codecs))]
    public void DotProductsOfCosines(QuantCodec codec)
    {
        const int Count = 4096;
        float[] a = Cosine(0), b = Cosine(1);
        using QuantizedTensor weights = QuantizedTensor.Encode(codec, new QuantShape(1, Count), a);
        using MatmulContext context = Contexts.Create();
        double expected = a.Zip(b, (x, y) => (double)x * y).Sum();
        double actual = context.Multiply(weights, b)[0];
        if (codec.Format is not null)
        {
            // MLX's rules clip more than ggml's encoders.
            Assert.That(Math.Abs(actual - expected) / Count, Is.LessThan(0.02));
        }

        // Of what encoding costs, multiplying adds little.
        double decoded = ReferenceProduct.Multiply(weights, b)[0];
        Assert.That(Math.Abs(actual - decoded) / Count, Is.LessThan(1e-3));

        static float[] Cosine(float offset) => [.. Enumerable.Range(0, Count).Select(i => 0.1f + (2 * MathF.Cos(i + offset)))];
    }

    [TestCaseSource(nameof(Codecs))]
    public void ProductsOfUniformNumbers(QuantCodec codec)
    {
        const int Outputs = 16, Columns = 256;
        QuantizedTensor weights = Encode(codec, new QuantShape(Outputs, Columns), 1);
        using MatmulContext context = Contexts.Create();
        foreach (int rows in (int[])[1, 2, 3, 4, 5, 6, 7, 8, 9, 16])
        {
            float[] x = Uniform(rows * Columns, rows);
            Assert.That(Numbers.Nmse(context.Multiply(weights, x), ReferenceProduct.Multiply(weights, x)), Is.LessThan(5e-4), $"M={rows}");
        }
    }

    [TestCaseSource(nameof(Codecs))]
    public void GathersOfUniformNumbers(QuantCodec codec)
    {
        const int Experts = 4, Outputs = 32, Columns = 256;
        QuantizedTensor experts = Encode(codec, QuantShape.Stack(Experts, Outputs, Columns), 2);
        using MatmulContext context = Contexts.Create();
        var random = new Random(3);
        foreach ((int tokens, int used) in ((int, int)[])[(1, 1), (1, 4), (4, 2), (17, 2), (32, 4)])
        {
            float[] x = Uniform(tokens * Columns, tokens);
            int[] ids = [.. Enumerable.Range(0, tokens * used).Select(_ => random.Next(Experts))];
            var y = new float[ids.Length * Outputs];
            QuantizedMatmul.GatherMultiply(experts, x, [tokens, 1, 1, Columns], default, new IndexArray(ids, [tokens, used]), y, context);
            float[] expected = [.. ids.SelectMany((id, i) => ReferenceProduct.Multiply(experts, x.AsSpan(i / used * Columns, Columns), id))];
            Assert.That(Numbers.Nmse(y, expected), Is.LessThan(5e-4), $"{tokens} tokens, {used} experts each");
        }
    }

    private static QuantizedTensor Encode(QuantCodec codec, QuantShape shape, int seed) =>
        QuantizedTensor.Encode(codec, shape, Uniform((int)shape.TotalWeights, seed));

    private static float[] Uniform(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (2 * random.NextSingle()) - 1)];
    }
}
