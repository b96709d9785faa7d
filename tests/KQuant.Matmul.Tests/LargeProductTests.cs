using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Products of sizes at which others went wrong: many rows, many outputs, segments of every length.</summary>
public class LargeProductTests
{
    private static readonly int[] RaggedRows = [1, 17, 63, 96, 129, 200, 0, 48];

    private static IEnumerable<QuantCodec> Formats => Contexts.Formats;

    [TestCase(QuantFormat.Q8_0, 64)]
    [TestCase(QuantFormat.Q4_K, 256)]
    public void ASortedGatherOf33000Rows(QuantFormat format, int columns)
    {
        const int Rows = 33_000, Experts = 7, Outputs = 12;
        QuantizedTensor experts = RandomTensors.Create(format, QuantShape.Stack(Experts, Outputs, columns));
        float[] x = Numbers.Gaussian(Rows * columns, 1);
        var random = new Random(2);
        int[] ids = [.. Enumerable.Range(0, Rows).Select(_ => random.Next(Experts)).Order()];
        AssertSegmentsAreProducts(experts, x, ids);
    }

    [TestCaseSource(nameof(Formats))]
    public void RaggedSegmentsAreProductsOfTheirOwn(QuantCodec codec)
    {
        const int Outputs = 72;
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(RaggedRows.Length, Outputs, columns));
        int[] ids = [.. RaggedRows.SelectMany((rows, expert) => Enumerable.Repeat(expert, rows))];
        AssertSegmentsAreProducts(experts, Numbers.Gaussian(ids.Length * columns, 3), ids);
    }

    /// <summary>Every output of every row, for all numbers of rows at which kernels change, and outputs that fill no tile, and many.</summary>
    [TestCase(QuantFormat.Q4_K, 1000, 256)]
    [TestCase(QuantFormat.Q6_K, 1000, 256)]
    [TestCase(QuantFormat.Q2_K, 1000, 256)]
    [TestCase(QuantFormat.Q3_K, 1000, 256)]
    [TestCase(QuantFormat.Q5_K, 1000, 256)]
    [TestCase(QuantFormat.Q4_0, 1000, 96)]
    [TestCase(QuantFormat.Q4_1, 1000, 96)]
    [TestCase(QuantFormat.Q5_0, 1000, 96)]
    [TestCase(QuantFormat.Q5_1, 1000, 96)]
    [TestCase(QuantFormat.Q8_0, 1000, 96)]
    [TestCase(QuantFormat.IQ4_NL, 1000, 96)]
    [TestCase(QuantFormat.Q4_K, 8192, 256)]
    [TestCase(QuantFormat.Q8_0, 8192, 64)]
    [TestCase(QuantFormat.Q6_K, 16384, 256)]
    [TestCase(QuantFormat.Q4_0, 16384, 64)]
    public void EveryOutputAtEverySeam(QuantFormat format, int outputs, int columns)
    {
        QuantizedTensor weights = RandomTensors.Create(format, new QuantShape(outputs, columns));
        int[] seams = outputs == 1000 ? [.. Enumerable.Range(2, 63), 224, 256, 512] : [2, 3, 5, 8, 9, 16, 17, 33, 49, 64, 224];
        float[] x = Numbers.Gaussian(seams[^1] * columns, 4);
        using MatmulContext exact = Contexts.Create(activations: ActivationPrecision.Float32), context = Contexts.Create();
        float[] expected = exact.Multiply(weights, x);
        double[] w = Lengths(RandomTensors.Decode(weights), columns), a = Lengths(x, columns);
        foreach (int rows in seams)
        {
            float[] y = context.Multiply(weights, x[..(rows * columns)]);
            for (int i = 0; i < y.Length; i++)
            {
                // Eight bits are off by less than a hundredth of a row's length.
                if (!(Math.Abs(y[i] - expected[i]) <= 0.01 * w[i % outputs] * a[i / outputs]))
                {
                    Assert.Fail($"M={rows}: output [{i / outputs},{i % outputs}] is {y[i]}, not {expected[i]}");
                }
            }
        }
    }

    /// <summary>In the order that is chosen by default, for which kernels depend on the number of rows.</summary>
    private static void AssertSegmentsAreProducts(QuantizedTensor experts, float[] x, int[] ids)
    {
        int columns = experts.Shape.Columns, outputs = (int)experts.Shape.Rows;
        using MatmulContext context = Contexts.Create();
        var y = new float[ids.Length * outputs];
        y.AsSpan().Fill(float.NaN);
        QuantizedMatmul.GatherMultiply(experts, x, [ids.Length, 1, columns], default, ids, y, context, sorted: true);
        for (int first = 0, end; first < ids.Length; first = end)
        {
            end = Array.FindLastIndex(ids, id => id == ids[first]) + 1;
            float[] expected = context.Multiply(experts.GetExpert(ids[first]), x[(first * columns)..(end * columns)]);
            Assert.That(
                Numbers.Bits(y.AsSpan(first * outputs, (end - first) * outputs)).AsSpan().SequenceEqual(Numbers.Bits(expected)),
                $"expert {ids[first]}, {end - first} rows");
        }
    }

    private static double[] Lengths(float[] values, int columns) =>
        [.. values.Chunk(columns).Select(row => Math.Sqrt(row.Sum(value => (double)value * value)))];
}
