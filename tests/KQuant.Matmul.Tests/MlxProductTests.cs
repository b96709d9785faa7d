using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Every number of bits, group size and type of scales of MLX's codecs in every kind of product, on every tier, against float64.</summary>
public class MlxProductTests
{
    private const int Experts = 3, Outputs = 21;

    private static readonly int[] RowCounts = [1, 2, 7, 33];

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.Quantized.Concat(QuantCodec.OtherScales).Where(codec => codec.Mlx is not null);

    [TestCaseSource(nameof(Codecs))]
    public void ProductsMatchFloat64(QuantCodec codec)
    {
        // One group, and some groups with a rest in every unit.
        foreach (int columns in (int[])[codec.WeightsPerBlock, 3 * 128])
        {
            QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(Outputs, columns));
            foreach (KernelTier tier in KernelTiers.All.ToArray().Where(KernelTiers.IsSupported))
            {
                using MatmulContext precise = Contexts.Create(activations: ActivationPrecision.Float32, maxTier: tier);
                using MatmulContext quick = Contexts.Create(maxTier: tier);
                foreach (int rows in RowCounts)
                {
                    float[] x = Numbers.Gaussian(rows * columns, rows), dy = Numbers.Gaussian(rows * Outputs, rows);
                    float[] expected = ReferenceProduct.Multiply(weights, x);
                    Assert.That(Numbers.Nmse(precise.Multiply(weights, x), expected), Is.LessThan(1e-11), $"{tier}, M={rows}");
                    Assert.That(Numbers.Nmse(quick.Multiply(weights, x), expected), Is.LessThan(2e-4), $"{tier}, M={rows}");
                    Assert.That(
                        Numbers.Nmse(precise.MultiplyTransposed(weights, dy), ReferenceProduct.MultiplyTransposed(weights, dy)),
                        Is.LessThan(1e-11),
                        $"{tier}, M={rows}, transposed");
                }
            }
        }
    }

    [TestCaseSource(nameof(Codecs))]
    public void GathersMatchFloat64(QuantCodec codec)
    {
        const int Columns = 256;
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(Experts, Outputs, Columns));
        int[] rhs = [0, 0, 1, 2, 2];
        float[] x = Numbers.Gaussian(rhs.Length * Columns, 3), y = new float[rhs.Length * Outputs], dx = new float[x.Length];
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        QuantizedMatmul.GatherMultiply(experts, x, [rhs.Length, 1, Columns], default, rhs, y, context);
        QuantizedMatmul.GatherGradient(experts, y, [rhs.Length, 1, Columns], default, rhs, dx, context);
        for (int row = 0; row < rhs.Length; row++)
        {
            float[] expected = ReferenceProduct.Multiply(experts, x.AsSpan(row * Columns, Columns), rhs[row]);
            float[] gradient = ReferenceProduct.MultiplyTransposed(experts, y.AsSpan(row * Outputs, Outputs), rhs[row]);
            Assert.That(Numbers.Nmse(y.AsSpan(row * Outputs, Outputs), expected), Is.LessThan(1e-11), $"row {row}");
            Assert.That(Numbers.Nmse(dx.AsSpan(row * Columns, Columns), gradient), Is.LessThan(1e-11), $"row {row}");
        }
    }
}
