using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Weights that were stored for rotated activations: products and gradients are those of the weights that were meant.</summary>
public class TransformTests
{
    private const int Experts = 3, Outputs = 40, Columns = 512;

    private static readonly SignedHadamard Rotation = new(Columns, 5);

    private static IEnumerable<TestCaseData> Cases =>
        from format in (QuantFormat[])[QuantFormat.Q4_K, QuantFormat.Q8_0, QuantFormat.F16]
        from rows in (int[])[1, 3, 40]
        from activations in Enum.GetValues<ActivationPrecision>()
        select new TestCaseData(format, rows, activations);

    [Test]
    public void TheRotationIsOne()
    {
        float[] x = Numbers.Gaussian(Columns, 1), y = [.. x];
        Rotation.Apply(y);
        Assert.That(Numbers.Nmse(y, x), Is.GreaterThan(0.5));
        Rotation.ApplyTransposed(y);
        Assert.That(Numbers.Nmse(y, x), Is.LessThan(1e-12));
    }

    [TestCaseSource(nameof(Cases))]
    public void ProductsAreThoseOfTheWeights(QuantFormat format, int rows, ActivationPrecision activations)
    {
        QuantizedTensor stored = RandomTensors.Create(format, new QuantShape(Outputs, Columns));
        QuantizedTensor weights = stored.WithTransform(Rotation);
        float[] x = Numbers.Gaussian(rows * Columns, 2), kept = [.. x], rotated = ForEach(x, Rotation.Apply);
        float[] dy = Numbers.Gaussian(rows * Outputs, 3);
        foreach (KernelTier tier in KernelTiers.All)
        {
            using MatmulContext context = Contexts.Create(activations: activations, maxTier: tier);

            // Exactly the product with rows that were rotated by hand, and so, within rounding, that of the weights that DecodeRow gives.
            float[] y = context.Multiply(weights, x);
            Assert.That(y, Is.EqualTo(context.Multiply(stored, rotated)), $"{tier}");
            bool isExact = activations == ActivationPrecision.Float32 || format == QuantFormat.F16;
            Assert.That(Numbers.Nmse(y, ReferenceProduct.Multiply(weights, x)), Is.LessThan(isExact ? 1e-11 : 1e-3), $"{tier}");

            float[] dx = context.MultiplyTransposed(weights, dy);
            Assert.That(dx, Is.EqualTo(ForEach(context.MultiplyTransposed(stored, dy), Rotation.ApplyTransposed)), $"{tier}");
            Assert.That(Numbers.Nmse(dx, ReferenceProduct.MultiplyTransposed(weights, dy)), Is.LessThan(1e-11), $"{tier}");
        }

        Assert.That(x, Is.EqualTo(kept), "inputs are not changed");
    }

    [Test]
    public void OtherActivationsAreWidenedFirst([Values] ActivationPrecision activations)
    {
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(Outputs, Columns)).WithTransform(Rotation);
        Half[] x = [.. Numbers.Gaussian(2 * Columns, 2).Select(value => (Half)value)];
        float[] y = new float[2 * Outputs];
        using MatmulContext context = Contexts.Create(activations: activations);
        QuantizedMatmul.Multiply(weights, x, y, context);
        Assert.That(y, Is.EqualTo(context.Multiply(weights, [.. x.Select(value => (float)value)])));
    }

    [Test]
    public void Gathers([Values] ActivationPrecision activations)
    {
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q8_0, QuantShape.Stack(Experts, Outputs, Columns)).WithTransform(Rotation);
        int[] lhs = [1, 0, 1, 1], rhs = [2, 0, 2, 1];
        float[] x = Numbers.Gaussian(2 * Columns, 1), dy = Numbers.Gaussian(4 * Outputs, 2);
        float[] y = new float[4 * Outputs], dx = new float[2 * Columns], expectedGradient = new float[2 * Columns];
        using MatmulContext context = Contexts.Create(activations: activations);
        QuantizedMatmul.GatherMultiply(experts, x, [2, 1, Columns], lhs, rhs, y, context);
        QuantizedMatmul.GatherGradient(experts, dy, [2, 1, Columns], lhs, rhs, dx, context);
        for (int entry = 0; entry < 4; entry++)
        {
            float[] expected = ReferenceProduct.Multiply(experts, x.AsSpan(lhs[entry] * Columns, Columns), rhs[entry]);
            Assert.That(Numbers.Nmse(y.AsSpan(entry * Outputs, Outputs), expected), Is.LessThan(1e-3), $"entry {entry}");
            float[] part = ReferenceProduct.MultiplyTransposed(experts, dy.AsSpan(entry * Outputs, Outputs), rhs[entry]);
            for (int i = 0; i < Columns; i++)
            {
                expectedGradient[(lhs[entry] * Columns) + i] += part[i];
            }
        }

        Assert.That(Numbers.Nmse(dx, expectedGradient), Is.LessThan(1e-11));
    }

    [Test]
    public void ACodecCanBringItsTransform()
    {
        var codec = new AffineCodec(64, integers: true, Rotation);
        float[] weights = Numbers.Gaussian(Outputs * Columns, 4), x = Numbers.Gaussian(Columns, 5);

        // One weight in 64 is an outlier: alone in its group it costs the others their precision, and a rotation spreads it.
        for (int i = 0; i < weights.Length; i += 64)
        {
            weights[i] *= 16;
        }

        QuantizedTensor rotated = QuantizedTensor.Encode(codec, new QuantShape(Outputs, Columns), weights);
        QuantizedTensor plain = QuantizedTensor.Encode(new AffineCodec(64, integers: true), rotated.Shape, weights);
        float[] decoded = RandomTensors.Decode(rotated);
        Assert.That(Numbers.Nmse(decoded, weights), Is.LessThan(0.5 * Numbers.Nmse(RandomTensors.Decode(plain), weights)));

        using MatmulContext context = Contexts.Create();
        Assert.That(Numbers.Nmse(context.Multiply(rotated, x), ReferenceProduct.Multiply(rotated, x)), Is.LessThan(1e-3));
        Assert.That(rotated.SliceRows(3, 2).Transform, Is.SameAs(Rotation));

        float[] row = new float[Columns];
        new QuantizedEmbedding(rotated).Lookup([7], row, context);
        Assert.That(row, Is.EqualTo(decoded[(7 * Columns)..(8 * Columns)]));
    }

    private delegate void RowChange(Span<float> row);

    private static float[] ForEach(float[] rows, RowChange change)
    {
        float[] changed = [.. rows];
        for (int start = 0; start < changed.Length; start += Columns)
        {
            change(changed.AsSpan(start, Columns));
        }

        return changed;
    }
}
