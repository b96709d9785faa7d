using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Products of ggml: float32 products match float64, and int8 products are no further from it than ggml's own.</summary>
public class FixtureTests
{
    private static readonly int[] RowCounts = [1, 3, 8, 33];
    private static readonly bool[] Orders = [false, true];
    private static readonly string[] Suffixes = ["", "2"];

    private static IEnumerable<TestCaseData> Products =>
        from codec in QuantCodec.All
        from rows in RowCounts
        from deterministic in Orders
        select new TestCaseData(codec, rows, deterministic).SetArgDisplayNames(codec.Name, $"M={rows}", deterministic ? "canonical" : "fast");

    private static IEnumerable<TestCaseData> Gathers =>
        from codec in QuantCodec.All
        from suffix in Suffixes
        select new TestCaseData(codec, suffix).SetArgDisplayNames(codec.Name, suffix == "" ? "a vector per token" : "a vector per slot");

    [TestCaseSource(nameof(Products))]
    public void Int8ProductsAreAsGoodAsGgml(QuantCodec codec, int rows, bool deterministic)
    {
        (QuantizedTensor weights, FixtureTensors fixture) = Load(codec, "w");
        using MatmulContext context = Contexts.Create(deterministic: deterministic);
        float[] exact = fixture.Floats($"y_f64_m{rows}");

        float[] y = context.Multiply(weights, fixture.Floats($"act_m{rows}"));

        Assert.That(Numbers.Nmse(y, exact), Is.LessThanOrEqualTo(1.05 * Numbers.Nmse(fixture.Floats($"y_ggml_m{rows}"), exact)));
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
        FixtureTensors fixture = FixtureTensors.Load(codec.Format, "matmul-");
        long[] dims = fixture.Dims(tensor);
        var shape = new QuantShape(dims.Length > 2 ? dims[2] : 1, dims[1], (int)dims[0]);
        byte[] bytes = fixture.Bytes(tensor, codec.GetByteCount(shape.TotalWeights)).ToArray();
        return (QuantizedTensor.FromMemory(codec, shape, bytes), fixture);
    }
}
