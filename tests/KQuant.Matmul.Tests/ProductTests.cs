using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Dense products against float64, and what their bits may and may not depend on.</summary>
public class ProductTests
{
    private const int Outputs = 37;

    private static readonly int[] RowCounts = [1, 2, 5, 8, 9, 33];
    private static readonly int[] ThreadCounts = [1, 2, 3, 8];

    private static IEnumerable<QuantCodec> Formats => Contexts.Formats;

    private static IEnumerable<QuantCodec> Codecs => Contexts.Formats.Where(codec => codec.IsQuantized);

    [TestCaseSource(nameof(Formats))]
    public void Float32ProductsMatchFloat64(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        foreach (int rows in RowCounts)
        {
            float[] x = Numbers.Gaussian(rows * weights.Shape.Columns, rows);
            Assert.That(Numbers.Nmse(context.Multiply(weights, x), ReferenceProduct.Multiply(weights, x)), Is.LessThan(1e-12), $"M={rows}");
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void TransposedProductsMatchFloat64(QuantCodec codec)
    {
        QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(150, Contexts.ColumnsOf(codec)));
        using MatmulContext context = Contexts.Create();
        foreach (int rows in RowCounts)
        {
            float[] dy = Numbers.Gaussian(rows * 150, rows);
            float[] dx = context.MultiplyTransposed(weights, dy);
            Assert.That(Numbers.Nmse(dx, ReferenceProduct.MultiplyTransposed(weights, dy)), Is.LessThan(1e-12), $"M={rows}");
        }
    }

    [TestCaseSource(nameof(Codecs))]
    public void Int8ProductsAreCloseToFloat64(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        using MatmulContext context = Contexts.Create();
        foreach (int rows in RowCounts)
        {
            float[] x = Numbers.Gaussian(rows * weights.Shape.Columns, rows);
            Assert.That(Numbers.Nmse(context.Multiply(weights, x), ReferenceProduct.Multiply(weights, x)), Is.LessThan(2e-4), $"M={rows}");
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void BitsDoNotDependOnTheThreadCount(QuantCodec codec)
    {
        // Large enough that every thread count cuts it differently.
        QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(1500, Contexts.ColumnsOf(codec)));
        foreach (int rows in new[] { 1, 40 })
        {
            float[] x = Numbers.Gaussian(rows * weights.Shape.Columns, 1);
            float[] dy = Numbers.Gaussian(rows * 1500, 2);
            int[]? expected = null, expectedTransposed = null;
            foreach (int threads in ThreadCounts)
            {
                using MatmulContext context = Contexts.Create(threads);
                int[] bits = Numbers.Bits(context.Multiply(weights, x));
                int[] transposed = Numbers.Bits(context.MultiplyTransposed(weights, dy));
                Assert.That(bits, Is.EqualTo(expected ??= bits), $"{threads} threads, M={rows}");
                Assert.That(transposed, Is.EqualTo(expectedTransposed ??= transposed), $"{threads} threads, M={rows}, transposed");
            }
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void BitsOfARowDoNotDependOnItsPlace(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        using MatmulContext context = Contexts.Create();
        foreach (int rows in RowCounts)
        {
            float[] x = Numbers.Gaussian(rows * weights.Shape.Columns, rows);
            float[] rotated = Rotate(x, weights.Shape.Columns);

            int[] bits = Numbers.Bits(Rotate(context.Multiply(weights, x), Outputs));

            Assert.That(Numbers.Bits(context.Multiply(weights, rotated)), Is.EqualTo(bits), $"M={rows}");
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void DeterministicBitsDependOnNothing(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        int columns = weights.Shape.Columns;
        float[] x = Numbers.Gaussian(33 * columns, 1);
        int[]? expected = null;
        foreach (KernelTier tier in KernelTiers.All.ToArray().Where(KernelTiers.IsSupported))
        {
            using MatmulContext context = Contexts.Create(2, deterministic: true, maxTier: tier);
            int[] together = Numbers.Bits(context.Multiply(weights, x));
            Assert.That(together, Is.EqualTo(expected ??= together), $"{tier}");
            foreach (int rows in RowCounts)
            {
                int[] few = Numbers.Bits(context.Multiply(weights, x[..(rows * columns)]));
                Assert.That(few, Is.EqualTo(expected[..few.Length]), $"{tier}, M={rows}");
            }
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void Float32BitsDependOnNothing(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        float[] x = Numbers.Gaussian(33 * weights.Shape.Columns, 1);
        float[] dy = Numbers.Gaussian(33 * Outputs, 1);
        int[]? expected = null, expectedTransposed = null;
        foreach (KernelTier tier in KernelTiers.All.ToArray().Where(KernelTiers.IsSupported))
        {
            using MatmulContext context = Contexts.Create(2, ActivationPrecision.Float32, maxTier: tier);
            foreach (int rows in RowCounts.Reverse())
            {
                int[] bits = Numbers.Bits(context.Multiply(weights, x[..(rows * weights.Shape.Columns)]));
                int[] transposed = Numbers.Bits(context.MultiplyTransposed(weights, dy[..(rows * Outputs)]));
                expected ??= bits;
                expectedTransposed ??= transposed;
                Assert.That(bits, Is.EqualTo(expected[..bits.Length]), $"{tier}, M={rows}");
                Assert.That(transposed, Is.EqualTo(expectedTransposed[..transposed.Length]), $"{tier}, M={rows}, transposed");
            }
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void NarrowActivationsAreWidened(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        using MatmulContext context = Contexts.Create();
        foreach (int rows in RowCounts)
        {
            float[] x = Numbers.Gaussian(rows * weights.Shape.Columns, rows);
            Half[] halves = Array.ConvertAll(x, value => (Half)value);
            BFloat16[] bfloats = Array.ConvertAll(x, value => (BFloat16)value);
            var fromHalves = new float[rows * Outputs];
            var fromBFloats = new float[rows * Outputs];

            QuantizedMatmul.Multiply(weights, halves, fromHalves, context);
            QuantizedMatmul.Multiply(weights, bfloats, fromBFloats, context);

            Assert.That(fromHalves, Is.EqualTo(context.Multiply(weights, Array.ConvertAll(halves, value => (float)value))));
            Assert.That(fromBFloats, Is.EqualTo(context.Multiply(weights, Array.ConvertAll(bfloats, value => (float)value))));
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void NarrowGradientsAreWidened(QuantCodec codec)
    {
        QuantizedTensor weights = Weights(codec);
        using MatmulContext context = Contexts.Create();
        float[] dy = Numbers.Gaussian(5 * Outputs, 3);
        Half[] halves = Array.ConvertAll(dy, value => (Half)value);
        BFloat16[] bfloats = Array.ConvertAll(dy, value => (BFloat16)value);
        var fromHalves = new float[5 * weights.Shape.Columns];
        var fromBFloats = new float[5 * weights.Shape.Columns];

        QuantizedMatmul.MultiplyTransposed(weights, halves, fromHalves, context);
        QuantizedMatmul.MultiplyTransposed(weights, bfloats, fromBFloats, context);

        Assert.That(fromHalves, Is.EqualTo(context.MultiplyTransposed(weights, Array.ConvertAll(halves, value => (float)value))));
        Assert.That(fromBFloats, Is.EqualTo(context.MultiplyTransposed(weights, Array.ConvertAll(bfloats, value => (float)value))));
    }

    [Test]
    public void NothingIsMultipliedByNothing()
    {
        using MatmulContext context = Contexts.Create();
        QuantizedTensor noRows = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(0, 64));
        QuantizedTensor noColumns = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(4, 0));
        float[] y = [1, 2, 3, 4];

        QuantizedMatmul.Multiply(noRows, new float[64], Span<float>.Empty, context);
        QuantizedMatmul.Multiply(noRows, ReadOnlySpan<float>.Empty, Span<float>.Empty, context);
        QuantizedMatmul.Multiply(noColumns, ReadOnlySpan<float>.Empty, y, context);

        Assert.That(y, Is.All.Zero);
    }

    [Test]
    public void ACancelledProductThrows()
    {
        using MatmulContext context = Contexts.Create();
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        var y = new float[Outputs];

        Assert.That(
            () => QuantizedMatmul.Multiply(Weights(QuantCodec.Get(QuantFormat.Q4_K)), new float[512], y, context, cancellation.Token),
            Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void TheContextSaysWhichKernelItUses()
    {
        using MatmulContext best = Contexts.Create();
        using MatmulContext scalar = Contexts.Create(maxTier: KernelTier.Scalar);
        using MatmulContext floats = Contexts.Create(activations: ActivationPrecision.Float32);
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in Formats)
            {
                Assert.That(scalar.GetTier(codec), Is.EqualTo(KernelTier.Scalar));
                Assert.That(KernelTiers.IsSupported(best.GetTier(codec)));
                Assert.That(floats.GetKernel(codec, 100).Name, Is.EqualTo("float"));
                Assert.That(best.GetKernel(codec, 1).Codec, Is.SameAs(codec));
            }
        });
    }

    private static QuantizedTensor Weights(QuantCodec codec) =>
        RandomTensors.Create(codec, new QuantShape(Outputs, Contexts.ColumnsOf(codec)));

    // The last row first.
    private static float[] Rotate(float[] values, int columns) => [.. values[^columns..], .. values[..^columns]];
}
