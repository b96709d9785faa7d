using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Products of ggml: float32 products match float64, and int8 products are no further from it than ggml's own.</summary>
public class FixtureTests
{
    private static readonly int[] RowCounts = [1, 3, 8, 33];
    private static readonly bool[] Orders = [false, true];
    private static readonly string[] Suffixes = ["", "2"];

    /// <summary>Codecs that ggml's products were recorded for.</summary>
    private static IEnumerable<QuantCodec> Codecs => QuantCodec.Quantized.Where(codec => FixtureTensors.Exists(codec, "matmul-"));

    private static IEnumerable<TestCaseData> Products =>
        from codec in Codecs
        from rows in RowCounts
        from deterministic in Orders
        select new TestCaseData(codec, rows, deterministic).SetArgDisplayNames(codec.Name, $"M={rows}", deterministic ? "canonical" : "fast");

    private static IEnumerable<TestCaseData> Gathers =>
        from codec in Codecs
        from suffix in Suffixes
        select new TestCaseData(codec, suffix).SetArgDisplayNames(codec.Name, suffix == "" ? "a vector per token" : "a vector per slot");

    // The rounding errors of a few activation rows scatter by a tenth from one way of rounding the scale to another (ggml's is binary16), so
    // the tight bound is on all rows of a codec together.
    [TestCaseSource(nameof(Orders))]
    public void Int8ProductsAreAsGoodAsGgml(bool deterministic)
    {
        using MatmulContext context = Contexts.Create(deterministic: deterministic);
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in Codecs)
            {
                (QuantizedTensor weights, FixtureTensors fixture) = Load(codec, "w");
                var all = new List<(float[] Ours, float[] Ggml, float[] Exact)>();
                foreach (int rows in RowCounts)
                {
                    float[] ours = context.Multiply(weights, fixture.Floats($"act_m{rows}"));
                    all.Add((ours, fixture.Floats($"y_ggml_m{rows}"), fixture.Floats($"y_f64_m{rows}")));
                    Assert.That(Ratio(all.TakeLast(1)), Is.LessThanOrEqualTo(1.1), $"{codec}, M={rows}");
                }

                Assert.That(Ratio(all), Is.LessThanOrEqualTo(1.05), $"{codec}");
            }
        });

        static double Ratio(IEnumerable<(float[] Ours, float[] Ggml, float[] Exact)> results)
        {
            float[] exact = [.. results.SelectMany(result => result.Exact)];
            return Numbers.Nmse([.. results.SelectMany(result => result.Ours)], exact)
                / Numbers.Nmse([.. results.SelectMany(result => result.Ggml)], exact);
        }
    }

    [TestCaseSource(nameof(Products))]
    public void Float32ProductsAreExact(QuantCodec codec, int rows, bool deterministic)
    {
        (QuantizedTensor weights, FixtureTensors fixture) = Load(codec, "w");
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32, deterministic: deterministic);

        float[] y = context.Multiply(weights, fixture.Floats($"act_m{rows}"));

        Assert.That(Numbers.Nmse(y, fixture.Floats($"y_f64_m{rows}")), Is.LessThanOrEqualTo(1e-10));
    }

    [TestCaseSource(nameof(Gathers))]
    public void GathersAreAsGoodAsGgml(QuantCodec codec, string suffix)
    {
        (QuantizedTensor experts, FixtureTensors fixture) = Load(codec, "w_e");
        float[] exact = fixture.Floats($"y_id{suffix}_f64");
        double ggml = Numbers.Nmse(fixture.Floats($"y_id{suffix}_ggml"), exact);

        Assert.Multiple(() =>
        {
            Assert.That(Numbers.Nmse(Gather(ActivationPrecision.Int8), exact), Is.LessThanOrEqualTo(1.05 * ggml));
            Assert.That(Numbers.Nmse(Gather(ActivationPrecision.Float32), exact), Is.LessThanOrEqualTo(1e-10));
        });

        float[] Gather(ActivationPrecision activations)
        {
            using MatmulContext context = Contexts.Create(activations: activations);
            long[] activationDims = fixture.Dims($"act_id{suffix}");
            int vectors = (int)activationDims[1], tokens = (int)activationDims[2];
            var y = new float[exact.Length];
            QuantizedMatmul.GatherMultiply(
                experts,
                fixture.Floats($"act_id{suffix}"),
                [tokens, vectors, 1, experts.Shape.Columns],
                default,
                new IndexArray(fixture.Ints("ids"), [tokens, 2]),
                y,
                context);
            return y;
        }
    }

    private static (QuantizedTensor Weights, FixtureTensors Fixture) Load(QuantCodec codec, string tensor)
    {
        FixtureTensors fixture = FixtureTensors.Load(codec, "matmul-");
        long[] dims = fixture.Dims(tensor);
        var shape = QuantShape.Stack(dims.Length > 2 ? dims[2] : 1, dims[1], (int)dims[0]);
        byte[] bytes = fixture.Bytes(tensor, codec.GetByteCount(shape.TotalWeights)).ToArray();
        return (QuantizedTensor.FromMemory(codec, shape, bytes), fixture);
    }
}
