using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>Products have the bits of the managed ones.</summary>
public class MultiplyTests : MetalTest
{
    // Rows for each kernel of the table, ends of its range and what fills no tile.
    private static readonly Dictionary<string, int[]> RowsOf = new()
    {
        ["multiply_1"] = [1],
        ["multiply_4"] = [2, 3, 4],
        ["multiply_8"] = [5, 7, 8],
        ["multiply_matrix"] = [9, 16, 17, 33],
        ["multiply_tiles"] = [9, 16, 17, 33],
    };

    private static IEnumerable<string> Kernels => MetalKernel.Multiply.Select(kernel => kernel.Name);

    [Test]
    public void HaveTheBitsOfTheProcessor([ValueSource(nameof(Formats))] QuantFormat format, [ValueSource(nameof(Kernels))] string kernel) =>
        InAllModes(backend =>
        {
            int block = Math.Max(16, QuantCodec.Get(format).WeightsPerBlock);

            // Columns: one block; a part of a run of 1024, a run, two runs and some; never more work than it takes.
            foreach ((int outputs, int columns) in ((int, int)[])[(1, block), (3, 768), (17, 1024), (5, 2304)])
            {
                foreach (int rows in RowsOf[kernel])
                {
                    if (SoftwareDevice.Build is not null)
                    {
                        Assert.That(MetalKernel.Choose(MetalKernel.Multiply, rows, backend.UsesMatrixUnits).Name, Is.EqualTo(kernel));
                    }

                    using QuantizedTensor tensor = RandomTensors.Create(format, new QuantShape(outputs, columns), seed: rows);
                    Check(backend, tensor, Numbers.Gaussian(rows * columns, seed: columns));
                }
            }
        }, kernel);

    [TestCaseSource(nameof(Formats))]
    public void ARowDoesNotDependOnTheOthers(QuantFormat format)
    {
        const int Columns = 1280, Rows = 20;
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(format, new QuantShape(6, Columns));
        using BackendWeights weights = backend.Upload(tensor);
        float[] x = Numbers.Gaussian(Rows * Columns, seed: 8);
        var together = new float[Rows * 6];
        backend.Multiply(weights, x, together);
        foreach (int count in (int[])[1, 4, 8, 13])
        {
            var apart = new float[count * 6];
            backend.Multiply(weights, x.AsSpan(0, count * Columns), apart);
            Assert.That(Numbers.Bits(apart), Is.EqualTo(Numbers.Bits(together.AsSpan(0, count * 6))), $"{count} rows");
        }
    }

    [Test]
    public void QueuedProductsTakeTheResultsOfEarlierOnes()
    {
        using var backend = MetalBackend.Create();
        using QuantizedTensor first = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(256, 512), seed: 1);
        using QuantizedTensor second = RandomTensors.Create(QuantFormat.Q6_K, new QuantShape(32, 256), seed: 2);
        using BackendWeights w1 = backend.Upload(first), w2 = backend.Upload(second);
        using BackendBuffer x = backend.Allocate(512), hidden = backend.Allocate(256), y = backend.Allocate(32);
        float[] input = Numbers.Gaussian(512, seed: 4);
        input.CopyTo(x.Values);
        SoftwareDevice.Configure();
        backend.Multiply(w1, x, 1, hidden);
        backend.Multiply(w2, hidden, 1, y);
        backend.Synchronize();

        using BackendWeights r1 = Reference.Upload(first), r2 = Reference.Upload(second);
        float[] middle = new float[256], expected = new float[32];
        Reference.Multiply(r1, input, middle);
        Reference.Multiply(r2, middle, expected);
        Assert.That(Numbers.Bits(y.Values), Is.EqualTo(Numbers.Bits(expected)));
        if (SoftwareDevice.Build is not null)
        {
            Assert.That(SoftwareDevice.CommandBuffers, Is.EqualTo(1), "command buffers");
        }
    }

    [Test]
    public void ManyThreadsShareABackend()
    {
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q5_K, new QuantShape(8, 256));
        using BackendWeights weights = backend.Upload(tensor);
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 4 }, seed =>
        {
            float[] x = Numbers.Gaussian(256, seed), y = new float[8];
            backend.Multiply(weights, x, y);
            Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(Expect(tensor, x))));
        });
    }

    private static void Check(MetalBackend backend, QuantizedTensor tensor, float[] x)
    {
        using BackendWeights weights = backend.Upload(tensor);
        float[] expected = Expect(tensor, x), actual = new float[expected.Length];
        backend.Multiply(weights, x, actual);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)), $"{x.Length / tensor.Shape.Columns} rows times {tensor}");
    }

    private static float[] Expect(QuantizedTensor tensor, float[] x)
    {
        using BackendWeights weights = Reference.Upload(tensor);
        var y = new float[x.Length / tensor.Shape.Columns * tensor.Shape.Rows];
        Reference.Multiply(weights, x, y);
        return y;
    }
}
