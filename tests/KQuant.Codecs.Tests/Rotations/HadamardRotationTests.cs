using KQuant.Codecs.Rotations;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Rotations;

/// <summary>Rotations are orthogonal, have their true inverse for every size, and are those of MLX for a seed.</summary>
public unsafe class HadamardRotationTests
{
    private static readonly int[] Sizes = [1, 2, 3, 7, 8, 12, 16, 20, 24, 28, 36, 40, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 288, 320, 576, 1280];

    private static IEnumerable<string> Kernels => RotationKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [Test]
    public void WordsAndSignsAreThoseOfTheReference()
    {
        uint[] expected =
        [
            0x3C999167, 0x6AD8072E, 0x014BE9F5, 0xD96FEAEF, 0x148970F4, 0xEAD689AE, 0x33575CDF, 0x0A1A55D3,
            0x8E776FEA, 0x09F7B18F, 0x0C02C6E9, 0x9F8A2653, 0xB90BB01B, 0xB3EC4364, 0x2E37D76D, 0x23FB1C18,
        ];
        Assert.That(Threefry.GetWords(42, 16), Is.EqualTo(expected));
        Assert.That(Threefry.GetWords(42, 17)[8], Is.EqualTo(Threefry.Get(42, 8, 0).First), "the middle of an odd number");
        Assert.That(Signs(16, 42), Is.EqualTo("---+-+--+--+++--"));
        Assert.That(Signs(64, 42), Is.EqualTo("-+++---+--+-+-+-+--+-++-+++-++-+-+---------+--+--++++-++-+---++-"));
        Assert.That(Signs(64, 43), Is.EqualTo("++-+++-+-++-++-++----+--++-+-++-+--+++--+----++++--++-+-++---+--"));

        static string Signs(int count, long seed) => string.Concat(HadamardRotation.CreateSigns(count, seed).Select(sign => sign < 0 ? '-' : '+'));
    }

    [TestCase(12, 0, "+-++++++++++")]
    [TestCase(20, 300, "+----+----++--++-++-")]
    [TestCase(28, 588, "+------++----++-+--+-+--++--")]
    public void MatricesAreThoseOfSloanesTables(int order, int asymmetric, string firstRow)
    {
        sbyte[] matrix = HadamardMatrices.Get(order), transposed = HadamardMatrices.Transpose(matrix, order);
        Assert.That(string.Concat(matrix.Take(order).Select(sign => sign < 0 ? '-' : '+')), Is.EqualTo(firstRow));
        Assert.That(matrix.Zip(transposed).Count(pair => pair.First != pair.Second), Is.EqualTo(asymmetric));
        for (int i = 0; i < order; i++)
        {
            for (int j = 0; j < order; j++)
            {
                int product = Enumerable.Range(0, order).Sum(k => matrix[(i * order) + k] * matrix[(j * order) + k]);
                Assert.That(product, Is.EqualTo(i == j ? order : 0));
            }
        }
    }

    [TestCase(4096, 4096)]
    [TestCase(2880, 320)]
    [TestCase(576, 192)]
    [TestCase(192, 192)]
    [TestCase(11008, 256)]
    [TestCase(3584, 3584)]
    [TestCase(5120, 5120)]
    [TestCase(18944, 512)]
    [TestCase(27648, 3072)]
    [TestCase(28, 28)]
    [TestCase(37, 1)]
    public void BlocksAreAsLargeAsTheSizeAllows(int size, int block) => Assert.That(HadamardRotation.GetBlockSize(size), Is.EqualTo(block));

    [Test]
    public void RotatesAsTheMatrixDoes([ValueSource(nameof(Sizes))] int size, [ValueSource(nameof(Kernels))] string kernel)
    {
        HadamardRotation rotation = Create(size, kernel);
        float[] row = Numbers.Gaussian(size, size), rotated = [.. row], signs = HadamardRotation.CreateSigns(size, 42);
        rotation.Apply(rotated);
        double[] expected = new double[size];
        for (int i = 0; i < size; i++)
        {
            for (int j = 0; j < size; j++)
            {
                expected[i] += i / rotation.BlockSize == j / rotation.BlockSize
                    ? GetEntry(i % rotation.BlockSize, j % rotation.BlockSize, rotation.BlockSize) * signs[j] * row[j] / Math.Sqrt(rotation.BlockSize)
                    : 0;
            }
        }

        Assert.That(rotated, Is.EqualTo(expected).Within(1e-5));
        rotation.ApplyTransposed(rotated);
        Assert.That(rotated, Is.EqualTo(row).Within(1e-5), "the true inverse");
    }

    [Test]
    public void KernelsHaveTheSameBits([ValueSource(nameof(Sizes))] int size)
    {
        float[] row = Numbers.Gaussian(size, size);
        int[][] all = [.. Kernels.Select(kernel =>
        {
            float[] forth = [.. row], back = [.. row];
            Create(size, kernel).Apply(forth);
            Create(size, kernel).ApplyTransposed(back);
            return Numbers.Bits([.. forth, .. back]);
        })];
        Assert.That(all, Is.All.EqualTo(all[^1]));
    }

    /// <summary>A single large value is spread over all, which is what rotations are for.</summary>
    [Test]
    public void OneValueBecomesManyOfTheSameSize([Values(64, 80, 96, 128)] int size)
    {
        var row = new float[size];
        row[3] = 8;
        new HadamardRotation(size, 42).Apply(row);
        Assert.That(row.Select(MathF.Abs), Is.All.EqualTo(8 / MathF.Sqrt(size)).Within(1e-5));
    }

    [Test]
    public void RowsOfOtherLengthsAreRefused() => Assert.That(
        () => new HadamardRotation(64, 1).Apply(new float[63]), Throws.ArgumentException.With.Message.StartsWith("The length of the row is 63; 64 was expected."));

    private static HadamardRotation Create(int size, string kernel) => new(size, 42) { Kernel = RotationKernel.All.Single(candidate => candidate.Name == kernel) };

    /// <summary>An entry of the Kronecker product of one of the matrices with Sylvester's.</summary>
    private static int GetEntry(int row, int column, int block)
    {
        int order = ((int[])[12, 20, 28]).FirstOrDefault(candidate => block % candidate == 0 && int.IsPow2(block / candidate), 1), run = block / order;
        int sign = int.PopCount(row % run & column % run) % 2 == 0 ? 1 : -1;
        return order == 1 ? sign : sign * HadamardMatrices.Get(order)[(row / run * order) + (column / run)];
    }
}
