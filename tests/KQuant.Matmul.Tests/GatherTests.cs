using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>A gather is one product per entry: which entries there are, and that grouping and sharing change nothing.</summary>
public class GatherTests
{
    private const int Experts = 5;
    private const int Outputs = 20;

    private static IEnumerable<QuantCodec> Formats => Contexts.Formats;

    // x has the leading dimensions `batch` and `rows` rows per matrix. Entries are what broadcasting gives, written out by hand.
    private static IEnumerable<TestCaseData> Broadcasts =>
    [
        Case("tokens and their experts", [3, 1], 1, null, new([0, 4, 2, 2, 1, 0], [3, 2]), [(0, 0), (0, 4), (1, 2), (1, 2), (2, 1), (2, 0)]),
        Case("a row per slot", [3, 2], 1, null, new([0, 4, 2, 2, 1, 0], [3, 2]), [(0, 0), (1, 4), (2, 2), (3, 2), (4, 1), (5, 0)]),
        Case("sorted by the caller", [4], 1, null, new([0, 1, 1, 3], [4]), [(0, 0), (1, 1), (2, 1), (3, 3)], sorted: true),
        Case("not sorted, though promised", [4], 1, null, new([3, 1, 3, 1], [4]), [(0, 3), (1, 1), (2, 3), (3, 1)], sorted: true),
        Case("several rows per matrix", [2], 7, null, new([4, 1], [2]), [(0, 4), (1, 1)]),
        Case("lhs alone meets all experts", [2], 1, new([1, 0, 1, 0, 0], [5]), null, [(1, 0), (0, 1), (1, 2), (0, 3), (0, 4)]),
        Case("lhs of one entry meets all experts", [2], 3, new([1], [1]), null, [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]),
        Case("rhs of one entry", [3], 1, null, new([2], [1]), [(0, 2), (1, 2), (2, 2)]),
        Case("rhs without dimensions", [3], 1, null, new([2], []), [(0, 2), (1, 2), (2, 2)]),
        Case("one matrix without leading dimensions", [], 2, null, new([3, 3, 0], [3]), [(0, 3), (0, 3), (0, 0)]),
        Case("column against row", [4], 1, new([3, 1], [2, 1]), new([0, 4], [1, 2]), [(3, 0), (3, 4), (1, 0), (1, 4)]),
        Case("fewer dimensions on the left", [2], 1, new([0, 1], [2]), new([4, 3, 2, 1], [2, 2]), [(0, 4), (1, 3), (0, 2), (1, 1)]),
        Case("three dimensions", [2], 1, new([1, 0], [2, 1, 1]), new([0, 1], [1, 2, 1]), [(1, 0), (1, 1), (0, 0), (0, 1)]),
        Case("no entries", [2], 1, new([], [0]), new([], [0]), []),
    ];

    [TestCaseSource(nameof(Broadcasts))]
    public void EntriesFollowFromTheShapes(GatherCase gather)
    {
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q8_0, QuantShape.Stack(Experts, Outputs, 64));
        float[] x = Numbers.Gaussian(gather.Items * gather.Rows * 64, 1);
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        var expected = new List<float>();
        foreach ((int item, int expert) in gather.Entries)
        {
            expected.AddRange(ReferenceProduct.Multiply(experts, x.AsSpan(item * gather.Rows * 64, gather.Rows * 64), expert));
        }

        float[] y = Gather(context, experts, x, gather);

        Assert.That(y, Has.Length.EqualTo(expected.Count));
        Assert.That(expected.Count == 0 ? 0 : Numbers.Nmse(y, expected.ToArray()), Is.LessThan(1e-12));
    }

    [TestCaseSource(nameof(Formats))]
    public void EveryEntryHasTheBitsOfAProductOfItsOwn(QuantCodec codec)
    {
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(Experts, Outputs, columns));
        foreach (GatherCase gather in Broadcasts.Select(data => (GatherCase)data.Arguments[0]!))
        {
            float[] x = Numbers.Gaussian(gather.Items * gather.Rows * columns, 1);
            using MatmulContext context = Contexts.Create(deterministic: true);
            var expected = new List<float>();
            foreach ((int item, int expert) in gather.Entries)
            {
                expected.AddRange(context.Multiply(experts.GetExpert(expert), x.AsSpan(item * gather.Rows * columns, gather.Rows * columns).ToArray()));
            }

            Assert.That(Numbers.Bits(Gather(context, experts, x, gather)), Is.EqualTo(Numbers.Bits(expected.ToArray())), gather.ToString());
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void TransposedEntriesHaveTheBitsOfProductsOfTheirOwn(QuantCodec codec)
    {
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(Experts, Outputs, columns));
        int[] ids = [4, 0, 2, 2, 2, 4];
        float[] x = Numbers.Gaussian(6 * 2 * Outputs, 1);
        using MatmulContext context = Contexts.Create();
        var y = new float[6 * 2 * columns];

        QuantizedMatmul.GatherMultiplyTransposed(experts, x, [6, 2, Outputs], default, ids, y, context);

        float[] expected = [.. ids.SelectMany((expert, i) => context.MultiplyTransposed(experts.GetExpert(expert), x[(i * 2 * Outputs)..((i + 1) * 2 * Outputs)]))];
        Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void ManyTokensOnManyThreads([Values(1, 2, 3, 8)] int threads)
    {
        // More rows per expert than one task of a row kernel takes, experts without any, and duplicates.
        const int Tokens = 60, PerToken = 3, Columns = 256;
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q4_K, QuantShape.Stack(9, 64, Columns));
        float[] x = Numbers.Gaussian(Tokens * Columns, 1);
        var random = new Random(5);
        int[] ids = [.. Enumerable.Range(0, Tokens * PerToken).Select(_ => random.Next(8))];
        using MatmulContext context = Contexts.Create(threads, deterministic: true);
        var y = new float[Tokens * PerToken * 64];

        QuantizedMatmul.GatherMultiply(experts, x, [Tokens, 1, 1, Columns], default, new IndexArray(ids, [Tokens, PerToken]), y, context);

        float[] expected = [.. ids.SelectMany((expert, i) => context.Multiply(experts.GetExpert(expert), x[(i / PerToken * Columns)..((i / PerToken * Columns) + Columns)]))];
        Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void WithoutIndicesItIsAProductWithOneMatrix()
    {
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(Outputs, 256));
        float[] x = Numbers.Gaussian(3 * 256, 1);
        using MatmulContext context = Contexts.Create(deterministic: true);
        var y = new float[3 * Outputs];

        QuantizedMatmul.GatherMultiply(weights, x, [3, 256], default, default, y, context);

        Assert.That(y, Is.EqualTo(context.Multiply(weights, x)));
    }

    [Test]
    public void NarrowActivationsAreWidened()
    {
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q5_1, QuantShape.Stack(Experts, Outputs, 64));
        float[] x = Numbers.Gaussian(2 * 64, 1);
        int[] ids = [3, 3];
        using MatmulContext context = Contexts.Create();
        float[] fromHalves = new float[2 * Outputs], fromBFloats = new float[2 * Outputs], fromFloats = new float[2 * Outputs];

        QuantizedMatmul.GatherMultiply(experts, Array.ConvertAll(x, value => (Half)value), [2, 1, 64], default, ids, fromHalves, context);
        QuantizedMatmul.GatherMultiply(experts, Array.ConvertAll(x, value => (BFloat16)value), [2, 1, 64], default, ids, fromBFloats, context);

        QuantizedMatmul.GatherMultiply(experts, Array.ConvertAll(x, value => (float)(Half)value), [2, 1, 64], default, ids, fromFloats, context);
        Assert.That(fromHalves, Is.EqualTo(fromFloats));
        QuantizedMatmul.GatherMultiply(experts, Array.ConvertAll(x, value => (float)(BFloat16)value), [2, 1, 64], default, ids, fromFloats, context);
        Assert.That(fromBFloats, Is.EqualTo(fromFloats));
    }

    private static float[] Gather(MatmulContext context, QuantizedTensor experts, float[] x, GatherCase gather)
    {
        var y = new float[gather.Entries.Length * gather.Rows * (int)experts.Shape.Rows];
        y.AsSpan().Fill(float.NaN);
        IndexArray lhs = gather.Lhs is { } left ? new IndexArray(left.Values, left.Shape) : default;
        IndexArray rhs = gather.Rhs is { } right ? new IndexArray(right.Values, right.Shape) : default;
        QuantizedMatmul.GatherMultiply(experts, x, [.. gather.Batch, gather.Rows, experts.Shape.Columns], lhs, rhs, y, context, gather.Sorted);
        return y;
    }

    private static TestCaseData Case(
        string name, int[] batch, int rows, Indices? lhs, Indices? rhs, (int Item, int Expert)[] entries, bool sorted = false) =>
        new TestCaseData(new GatherCase(name, batch, rows, lhs, rhs, entries, sorted)).SetArgDisplayNames(name);

    public sealed record Indices(int[] Values, int[] Shape);

    public sealed record GatherCase(
        string Name, int[] Batch, int Rows, Indices? Lhs, Indices? Rhs, (int Item, int Expert)[] Entries, bool Sorted)
    {
        public int Items => Batch.Aggregate(1, (product, length) => product * length);

        public override string ToString() => Name;
    }
}
