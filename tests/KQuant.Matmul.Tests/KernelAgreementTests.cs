using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Tests;

/// <summary>Every kernel in the table that this machine runs against the scalar one, in memory that faults beside the operands.</summary>
public class KernelAgreementTests
{
    private static IEnumerable<TestCaseData> Kernels =>
        from kernel in ProductKernels.All
        where kernel.IsSupported
        select new TestCaseData(kernel).SetArgDisplayNames(kernel.ToString());

    /// <summary>Products that meet every number of activation rows up to 40 and every edge of tiles, panels, units and pieces.</summary>
    private static IEnumerable<(int M, int N, int K)> Shapes(QuantFormat format)
    {
        bool flat = QuantCodec.Get(format).WeightsPerBlock == 32;
        int[] heights = [1, 2, 3, 15, 16, 17, 31, 32, 33, 47];
        for (int m = 1; m <= 40; m++)
        {
            int k = flat ? 32 * (1 + (m % 11)) : 256 * (1 + (m % 2));
            yield return (m, heights[m % heights.Length], k);
        }

        foreach (int n in heights)
        {
            yield return (5, n, flat ? 288 : 256);
            yield return (1, n, flat ? 480 : 512);
        }

        for (int blocks = 1; blocks <= 17; blocks++)
        {
            yield return (2, 18, flat ? 32 * blocks : 256 * blocks);
        }

        yield return (3, 33, 256 * 35);
        yield return (520, 3, 512);
    }

    [TestCaseSource(nameof(Kernels))]
    public void AgreesWithScalar(object kernelObject)
    {
        var kernel = (ProductKernel)kernelObject;
        ProductKernel scalar = ProductKernels.All.Single(other => other.Format == kernel.Format && other.Tier == KernelTier.Scalar);
        var random = new Random(20260301 + (int)kernel.Format);
        foreach ((int m, int n, int k) in Shapes(kernel.Format).Where(shape => shape.M <= kernel.MaxRows))
        {
            using Product product = Create(kernel.Format, m, n, k, random);
            float[] expected = product.Run(scalar), actual = product.Run(kernel);
            double[]? terms = kernel.IsCanonical ? null : product.AbsoluteTerms();
            for (int i = 0; i < expected.Length; i++)
            {
                bool agrees = terms is null
                    ? BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i])
                    : Math.Abs(expected[i] - actual[i]) <= 1e-6 * terms[i];
                if (!agrees)
                {
                    Assert.Fail($"{kernel}, M={m} N={n} K={k}: output [{i / n},{i % n}] is {actual[i]:R}, not {expected[i]:R}.");
                }
            }
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void GivesARowTheSameBitsInAnyCompany(object kernelObject)
    {
        var kernel = (ProductKernel)kernelObject;
        var random = new Random(20260302 + (int)kernel.Format);
        int k = QuantCodec.Get(kernel.Format).WeightsPerBlock == 32 ? 1120 : 5 * 256;
        using Product product = Create(kernel.Format, 13, 19, k, random);
        float[][] alone = [.. Enumerable.Range(0, product.M).Select(row => product.Run(kernel, [row]))];
        for (int rows = 2; rows <= Math.Min(kernel.MaxRows, 13); rows++)
        {
            int[] indices = [.. Enumerable.Range(0, rows).Select(_ => random.Next(product.M))];
            float[] together = product.Run(kernel, indices);
            for (int i = 0; i < rows; i++)
            {
                ReadOnlySpan<float> row = together.AsSpan(i * product.N, product.N);
                Assert.That(
                    MemoryMarshal.AsBytes(row).SequenceEqual(MemoryMarshal.AsBytes(alone[indices[i]].AsSpan())), Is.True,
                    $"{kernel}: row {indices[i]} as number {i} of {rows}");
            }
        }
    }

    private static Product Create(QuantFormat format, int m, int n, int k, Random random)
    {
        float[] activations = new float[m * k];
        for (int i = 0; i < activations.Length; i++)
        {
            activations[i] = (float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-3, 4)));
        }

        return new Product(format, RandomWeights.Create(format, n, k, random), activations, m, n, k);
    }
}
