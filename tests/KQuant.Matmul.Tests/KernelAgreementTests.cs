using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;

namespace KQuant.Matmul.Tests;

/// <summary>Every kernel in the table that this machine runs against the scalar one, in memory that faults beside the operands.</summary>
public class KernelAgreementTests
{
    private static IEnumerable<TestCaseData> Kernels =>
        from kernel in ProductKernels.All
        where kernel.IsSupported
        select new TestCaseData(kernel).SetArgDisplayNames(kernel.ToString());

    /// <summary>Products that meet every number of activation rows up to 40 and every edge of tiles, panels, units and pieces.</summary>
    private static IEnumerable<(int M, int N, int K)> Shapes(QuantCodec codec)
    {
        bool flat = codec.WeightsPerBlock == 32;
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
        ProductKernel scalar = Scalar(kernel.Codec);
        var random = new Random(20260301 + kernel.Codec.Index);
        foreach ((int m, int n, int k) in Shapes(kernel.Codec).Where(shape => shape.M <= kernel.MaxRows))
        {
            using Product product = Create(kernel.Codec, m, n, k, random);
            Compare(kernel, scalar, product);
        }
    }

    /// <summary>All factors are one, so every float operation is exact, and a single wrong product of codes changes the result.</summary>
    [TestCaseSource(nameof(Kernels))]
    public void IntegersAreExact(object kernelObject)
    {
        var kernel = (ProductKernel)kernelObject;
        ProductKernel scalar = Scalar(kernel.Codec);
        var random = new Random(20260303 + kernel.Codec.Index);
        for (int m = 1; m <= Math.Min(kernel.MaxRows, 13); m++)
        {
            const int N = 37;
            int k = kernel.Codec.WeightsPerBlock == 32 ? 32 * (7 + m) : 256 * (1 + (m % 3));
            byte[] weights = RandomWeights.Create(kernel.Codec, N, k, random, (Half)1);
            float[] activations = new float[m * k];
            for (int i = 0; i < activations.Length; i++)
            {
                activations[i] = i % 32 == 0 ? (254 * random.Next(2)) - 127 : random.Next(-1, 2);
            }

            using var product = new Product(kernel.Codec, weights, activations, m, N, k);
            Assert.That(product.Run(kernel), Is.EqualTo(product.Run(scalar)).AsCollection, $"{kernel}, M={m}");
        }
    }

    /// <summary>Sums in 16 bits come closest to overflowing where all codes are as large as they can be.</summary>
    [TestCaseSource(nameof(Kernels))]
    public void NothingOverflows(object kernelObject)
    {
        const int M = 7, N = 35, K = 512;
        var kernel = (ProductKernel)kernelObject;
        ProductKernel scalar = Scalar(kernel.Codec);
        var random = new Random(20260304);
        float[] activations = new float[M * K];
        for (int i = 0; i < activations.Length; i++)
        {
            activations[i] = (i / K) switch { 0 => 1, 1 => -1, 2 => 1 - (2 * (i & 1)), 3 => 1 - (i & 2), _ => 1 - (2 * random.Next(2)) };
        }

        foreach (byte[] pattern in (byte[][])[[0xFF], [0], [0x80], [0x7F], [0xFF, 0], [0xFF, 0xFF, 0, 0], [0x7F, 0x80]])
        {
            byte[] weights = RandomWeights.Create(kernel.Codec, N, K, random, (Half)0.01, pattern);
            using var product = new Product(kernel.Codec, weights, activations, M, N, K);
            for (int row = 0; row < M; row += kernel.MaxRows)
            {
                Compare(kernel, scalar, product, [.. Enumerable.Range(row, Math.Min(M - row, kernel.MaxRows))]);
            }
        }
    }

    /// <summary>
    /// Near the largest floats every kernel gives what the scalar one does: what cancels out there overflows nowhere, and what is infinite
    /// there is infinite everywhere.
    /// </summary>
    [TestCaseSource(nameof(Kernels))]
    public void HugeActivationsStayFiniteOrBecomeInfiniteAsInScalar(object kernelObject)
    {
        const int N = 19, K = 1024;
        var kernel = (ProductKernel)kernelObject;
        ProductKernel scalar = Scalar(kernel.Codec);
        var random = new Random(20260306 + kernel.Codec.Index);
        int m = Math.Min(kernel.MaxRows, 6);
        foreach ((float size, double factor) in ((float, double)[])[(1e36f, 1e-3), (1e38f, 1e-4), (3e38f, 1e-5), (3e38f, 1000)])
        {
            // The first rows have one sign, so that what stands for offsets is as large as it can be.
            float[] activations = [.. Enumerable.Range(0, m * K).Select(i => size * (i / K < 3 ? 1 : (float)((2 * random.NextDouble()) - 1)))];
            using var product = new Product(
                kernel.Codec, RandomWeights.Create(kernel.Codec, N, K, random, (Half)(kernel.Codec.WeightsPerBlock == 32 ? factor : 0.01 * factor)), activations, m, N, K);
            float[] expected = product.Run(scalar), actual = product.Run(kernel);
            double[] terms = product.AbsoluteTerms();
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.That(float.IsFinite(actual[i]), Is.EqualTo(float.IsFinite(expected[i])), $"{kernel}, {size} x {factor}, output {i}: {actual[i]:R}, not {expected[i]:R}");
                if (float.IsFinite(expected[i]))
                {
                    Assert.That(actual[i], Is.EqualTo((double)expected[i]).Within(1e-6 * terms[i]), $"{kernel}, {size} x {factor}, output {i}");
                }
            }
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void PiecesMakeTheWhole(object kernelObject)
    {
        var kernel = (ProductKernel)kernelObject;
        var random = new Random(20260305 + kernel.Codec.Index);
        int n = (3 * kernel.Granule) + 21, k = kernel.Codec.WeightsPerBlock == 32 ? 352 : 512;
        foreach (int m in (int[])[1, Math.Min(3, kernel.MaxRows), Math.Min(9, kernel.MaxRows)])
        {
            using Product product = Create(kernel.Codec, m, n, k, random);
            float[] whole = product.Run(kernel);
            Assert.That(product.Run(kernel, granules: 1), Is.EqualTo(whole).AsCollection);
            Assert.That(product.Run(kernel, granules: 2), Is.EqualTo(whole).AsCollection);
        }
    }

    [TestCaseSource(nameof(Kernels))]
    public void GivesARowTheSameBitsInAnyCompany(object kernelObject)
    {
        var kernel = (ProductKernel)kernelObject;
        var random = new Random(20260302 + kernel.Codec.Index);
        int k = kernel.Codec.WeightsPerBlock == 32 ? 1120 : 5 * 256;
        using Product product = Create(kernel.Codec, 13, 19, k, random);
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

    private static ProductKernel Scalar(QuantCodec codec) =>
        ProductKernels.All.Single(kernel => kernel.Codec == codec && kernel.Tier == KernelTier.Scalar);

    private static void Compare(ProductKernel kernel, ProductKernel scalar, Product product, int[]? rows = null)
    {
        float[] expected = product.Run(scalar, rows), actual = product.Run(kernel, rows);
        double[]? terms = kernel.IsCanonical ? null : product.AbsoluteTerms();
        for (int i = 0; i < expected.Length; i++)
        {
            int row = i / product.N, column = i % product.N;
            bool agrees = terms is null
                ? BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i])
                : Math.Abs(expected[i] - actual[i]) <= 1e-6 * terms[((rows?[row] ?? row) * product.N) + column];
            if (!agrees)
            {
                Assert.Fail(
                    $"{kernel}, M={rows?.Length ?? product.M} N={product.N} K={product.K}: "
                    + $"output [{row},{column}] is {actual[i]:R}, not {expected[i]:R}.");
            }
        }
    }

    private static Product Create(QuantCodec codec, int m, int n, int k, Random random)
    {
        float[] activations = new float[m * k];
        for (int i = 0; i < activations.Length; i++)
        {
            activations[i] = (float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-3, 4)));
        }

        return new Product(codec, RandomWeights.Create(codec, n, k, random), activations, m, n, k);
    }
}
