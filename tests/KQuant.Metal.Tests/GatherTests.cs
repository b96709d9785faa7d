using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>Gathers have the bits of the managed ones, by index and by segments.</summary>
public class GatherTests : MetalTest
{
    private const int Experts = 5;

    [Test]
    public void ByIndex([ValueSource(nameof(Formats))] QuantFormat format) => InAllModes(backend =>
    {
        foreach ((int outputs, int columns) in ((int, int)[])[(3, 256), (17, 1280)])
        {
            using QuantizedTensor tensor = RandomTensors.Create(format, QuantShape.Stack(Experts, outputs, columns));

            // Two experts for each of three tokens, as a model decodes.
            Check(backend, tensor, [3, 1, 1, columns], "gather", new IndexArray([0, 1, 2], [3, 1]), new IndexArray([4, 0, 2, 2, 1, 4], [3, 2]));
        }
    });

    [Test]
    public void BySegments([ValueSource(nameof(Formats))] QuantFormat format, [Values("gather_matrix", "gather_tiles")] string kernel) => InAllModes(backend =>
    {
        foreach ((int outputs, int columns, int tokens) in ((int, int, int)[])[(3, 256, 23), (17, 1280, 33)])
        {
            using QuantizedTensor tensor = RandomTensors.Create(format, QuantShape.Stack(Experts, outputs, columns));
            int[] experts = [.. Enumerable.Range(0, tokens).Select(token => token % 3 == 0 ? 4 : token * 7 % Experts)];
            Check(backend, tensor, [tokens, 1, columns], kernel, default, experts);

            // In order, with the promise that it is; more rows of one expert than a tile has.
            int[] ascending = [.. experts.Order().Select(expert => Math.Max(2, expert))];
            Check(backend, tensor, [tokens, 1, columns], kernel, default, ascending, sorted: true);
        }
    }, kernel);

    [Test]
    public void SeveralRowsToAnEntry()
    {
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q4_K, QuantShape.Stack(Experts, 7, 256));
        int[] lhs = [1, 0, 1], rhs = [2, 4, 4];
        Check(backend, tensor, [2, 3, 256], "gather_matrix", lhs, rhs);
    }

    [Test]
    public void ABrokenPromiseOfOrderChangesNothing()
    {
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q8_0, QuantShape.Stack(Experts, 7, 256));
        int[] experts = [.. Enumerable.Range(0, 30).Select(token => token * 3 % Experts)];
        Check(backend, tensor, [30, 1, 256], "gather_matrix", default, experts, sorted: true);
    }

    private static void Check(
        MetalBackend backend, QuantizedTensor tensor, int[] shape, string kernel, IndexArray lhs, IndexArray rhs, bool sorted = false)
    {
        int entries = Math.Max(lhs.Values.Length, rhs.Values.Length), rows = entries * shape[^2];
        int distinct = rhs.Values.ToArray().Distinct().Count();
        if (SoftwareDevice.Build is not null)
        {
            Assert.That(MetalKernel.Choose(MetalKernel.Gather, rows / distinct, backend.UsesMatrixUnits).Name, Is.EqualTo(kernel));
        }

        float[] x = Numbers.Gaussian(shape.Aggregate(1, (a, b) => a * b), seed: 6);
        float[] expected = new float[rows * tensor.Shape.Rows], actual = new float[expected.Length];
        using BackendWeights weights = backend.Upload(tensor), reference = Reference.Upload(tensor);
        Reference.GatherMultiply(reference, x, shape, lhs, rhs, expected, sorted);
        backend.GatherMultiply(weights, x, shape, lhs, rhs, actual, sorted);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)), tensor.ToString());
    }
}
