using KQuant.Arm64.Exports;
using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;
using KQuant.Matmul.Tests;
using KQuant.TestKit;

namespace KQuant.Arm64.Tests;

/// <summary>
/// Every ARM64 kernel in the table against the scalar one on x86-64: panels by bits, row kernels within rounding, and by bits where no
/// order of sums can make a difference.
/// </summary>
public unsafe class ProductTests : Arm64Fixture
{
    private static IEnumerable<ProductKernel> Kernels =>
        ProductKernels.All.Where(kernel => kernel.Tier is KernelTier.Neon or KernelTier.NeonDot);

    /// <summary>Row kernels at 1, 2, 4 and 8 activation rows, and at what is between; panels at everything.</summary>
    private static IEnumerable<TestCaseData> Cases =>
        from kernel in Kernels
        from processor in Processors.Of(kernel.Tier)
        from rows in kernel.Name == "row" ? (int[][])[[1], [2], [4], [8], [3, 5, 6, 7]] : [[1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17]]
        let name = kernel.Name == "row" ? $"{kernel} {string.Join(',', rows)}" : kernel.ToString()
        select new TestCaseData(kernel, rows, processor).SetArgDisplayNames(name, processor);

    [Test]
    public void EveryCodecWithPortableKernelsHasARowAndAPanelKernelInBothTiers()
    {
        IEnumerable<string> expected =
            from codec in QuantCodec.Quantized
            where ProductKernels.All.Any(kernel => kernel.Codec == codec && kernel.Tier == KernelTier.Portable)
            from tier in (KernelTier[])[KernelTier.Neon, KernelTier.NeonDot]
            from name in (string[])["row", "panel"]
            select $"{codec.Name} {tier} {name}";
        Assert.That(Kernels.Select(kernel => kernel.ToString()), Is.EquivalentTo(expected));
    }

    [TestCaseSource(nameof(Cases))]
    public void AgreesWithScalar(object kernelObject, int[] rows, string processor)
    {
        var kernel = (ProductKernel)kernelObject;
        var random = new Random(20260503 + kernel.Codec.Index);
        bool isFlat = kernel.Codec.WeightsPerBlock == 32;
        (int N, int K)[] shapes = isFlat
            ? [(1, 32), (4, 64), (3, 96), (5, 128), (9, 160), (2, 224), (7, 256), (33, 288), (6, 1184)]
            : [(1, 256), (4, 512), (5, 256), (3, 768), (33, 512), (6, 1536)];
        foreach (int m in rows)
        {
            foreach ((int n, int k) in shapes)
            {
                float[] x = new float[m * k];
                for (int i = 0; i < x.Length; i++)
                {
                    x[i] = (float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-3, 4)));
                }

                using var product = new Product(kernel.Codec, RandomWeights.Create(kernel.Codec, n, k, random), x, m, n, k);
                Compare(kernel, product, processor, isExact: kernel.IsCanonical, "random");
            }
        }
    }

    /// <summary>Scales are one, so that every sum is a whole number below 2^24, which no order of summing changes.</summary>
    [TestCaseSource(nameof(Cases))]
    public void IntegersAreExact(object kernelObject, int[] rows, string processor)
    {
        var kernel = (ProductKernel)kernelObject;
        var random = new Random(20260504 + kernel.Codec.Index);
        int k = kernel.Codec.WeightsPerBlock == 32 ? 352 : 512;
        foreach (int m in rows)
        {
            byte[] weights = RandomWeights.Create(kernel.Codec, 7, k, random);
            SetScales(kernel.Codec, weights, _ => (Half)1);
            float[] x = [.. Enumerable.Range(0, m * k).Select(i => i % 32 == 0 ? 127f : random.Next(-127, 128))];
            using var product = new Product(kernel.Codec, weights, x, m, 7, k);
            Compare(kernel, product, processor, isExact: true, "integers");
        }
    }

    /// <summary>
    /// All codes the same, the smallest or the largest, with activations as large as they get: what overflows first. Then blocks of zeros,
    /// and the smallest and largest scales, and those that are no numbers.
    /// </summary>
    [TestCaseSource(nameof(Cases))]
    public void SurvivesExtremes(object kernelObject, int[] rows, string processor)
    {
        var kernel = (ProductKernel)kernelObject;
        int k = kernel.Codec.WeightsPerBlock == 32 ? 96 : 256;
        Half[] scales = [(Half)1, (Half)0, Half.Epsilon, Half.MaxValue, Half.MinValue, (Half)(-0.01), (Half)0.001];
        if (kernel.IsCanonical)
        {
            // Lanes of a row kernel can be infinities of either sign.
            scales = [.. scales, Half.PositiveInfinity, (Half)0.5, Half.NegativeInfinity, Half.NaN, (Half)(-6e-5)];
        }

        foreach (int m in rows.Where(m => rows.Length == 1 || m is 3 or 4 or 7 or 8 or 17))
        {
            foreach (byte code in (byte[])[0x00, 0xFF, 0x80, 0x7F, 0x88, 0x77])
            {
                foreach (float value in (float[])[1f, -1f, 0f, 1e-36f])
                {
                    byte[] weights = new byte[13 * kernel.Codec.GetByteCount(k)];
                    weights.AsSpan().Fill(code);
                    SetScales(kernel.Codec, weights, block => scales[block % scales.Length]);
                    float[] x = [.. Enumerable.Range(0, m * k).Select(i => i / k % 2 == 1 && i % 2 == 1 ? -value : value)];
                    using var product = new Product(kernel.Codec, weights, x, m, 13, k);
                    Compare(kernel, product, processor, isExact: kernel.IsCanonical, $"codes {code:X2}, activations {value}");
                }
            }
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void MultipliesFixtures(object kernelObject, int[] rows, string processor)
    {
        var kernel = (ProductKernel)kernelObject;
        QuantCodec codec = kernel.Codec;
        FixtureTensors fixture = FixtureTensors.Load(kernel.Codec);
        long[] dims = fixture.Dims("w");
        int k = (int)dims[0], n = (int)Math.Min(dims[1], 9);
        var random = new Random(20260505);
        foreach (int m in rows)
        {
            float[] x = [.. Enumerable.Range(0, m * k).Select(_ => (2 * random.NextSingle()) - 1)];
            using var product = new Product(kernel.Codec, fixture.Bytes("w", n * codec.GetByteCount(k)).ToArray(), x, m, n, k);
            Compare(kernel, product, processor, isExact: kernel.IsCanonical, "fixture");
        }
    }

    private void Compare(ProductKernel kernel, Product product, string processor, bool isExact, string what)
    {
        ProductKernel scalar = ProductKernels.All.Single(other => other.Codec == kernel.Codec && other.Tier == KernelTier.Scalar);
        float[] expected = product.Run(scalar), actual = Run(kernel, product, processor);
        string Describe(int i) =>
            $"{kernel} on {processor}, {what}, M={product.M} N={product.N} K={product.K}, output [{i / product.N},{i % product.N}]";
        if (isExact)
        {
            Same.Bits(actual, expected, Describe);
        }
        else
        {
            Same.WithinRounding(actual, expected, product.AbsoluteTerms(), Describe);
        }
    }

    private float[] Run(ProductKernel kernel, Product product, string processor)
    {
        ActivationView view = product.View;
        int scales = product.M * view.Units * view.ScalesPerUnit, sums = product.M * view.Units * view.SumsPerUnit;
        int rowBytes = (int)kernel.Codec.GetByteCount(product.K);
        var request = new Request
        {
            Operation = (int)(kernel.Name == "row" ? Operation.Row : Operation.Panel),
            Format = (int)kernel.Codec.Format!,
            Tier = (int)kernel.Tier,
            Rows = product.M,
        };
        (request.Numbers[0], request.Numbers[1]) = (product.N, rowBytes);
        (request.Numbers[2], request.Numbers[3]) = (product.Units, product.TailBlocks);
        RequestBuffer output = RequestBuffer.Output(sizeof(float) * product.M * product.N);
        int status = Machine(processor).Run(
            request,
            RequestBuffer.Input(product.Weights, product.N * rowBytes),
            RequestBuffer.Input(view.Codes, 256 * product.Units * product.M),
            RequestBuffer.Input(view.Scales, sizeof(float) * scales),
            RequestBuffer.Input(view.Sums, sizeof(short) * sums),
            RequestBuffer.Scratch(kernel.GetActivationBytes(product.M, product.Units)),
            RequestBuffer.Scratch(kernel.GetScratchBytes(product.Units)),
            output,
            RequestBuffer.Scratch(sizeof(long) * product.M));
        Assert.That(status, Is.Zero, $"the host does not know {kernel}");
        return output.As<float>();
    }

    private static void SetScales(QuantCodec codec, byte[] weights, Func<int, Half> scale)
    {
        int size = codec.BytesPerBlock;
        for (int block = 0; block < weights.Length; block += size)
        {
            foreach (int offset in codec.ScaleOffsets)
            {
                BitConverter.TryWriteBytes(weights.AsSpan(block + offset), scale(block / size));
            }
        }
    }
}
