using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>After the first product of a size nothing is allocated, on the calling thread or any other.</summary>
[NonParallelizable]
public class AllocationTests
{
    private static readonly int[] Ids = [0, 2, 2, 1, 0, 3, 3, 1];
    private static readonly float[] X = Numbers.Gaussian(64 * 512, 1);
    private static readonly float[] Y = new float[64 * 512];
    private static readonly Half[] Halves = Array.ConvertAll(X, value => (Half)value);
    private static readonly QuantizedTensor Matrix = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(256, 512));
    private static readonly QuantizedTensor Floats = RandomTensors.Create(QuantFormat.BF16, new QuantShape(256, 512));
    private static readonly QuantizedTensor Stack = RandomTensors.Create(QuantFormat.Q4_0, QuantShape.Stack(4, 64, 96));

    private static IEnumerable<TestCaseData> Products =>
    [
        Case("one row", context => QuantizedMatmul.Multiply(Matrix, X.AsSpan(0, 512), Y.AsSpan(0, 256), context)),
        Case("many rows", context => QuantizedMatmul.Multiply(Matrix, X.AsSpan(0, 40 * 512), Y.AsSpan(0, 40 * 256), context)),
        Case("halves", context => QuantizedMatmul.Multiply(Matrix, Halves.AsSpan(0, 2 * 512), Y.AsSpan(0, 2 * 256), context)),
        Case("float weights", context => QuantizedMatmul.Multiply(Floats, X.AsSpan(0, 40 * 512), Y.AsSpan(0, 40 * 256), context)),
        Case("transposed", context => QuantizedMatmul.MultiplyTransposed(Matrix, X.AsSpan(0, 8 * 256), Y.AsSpan(0, 8 * 512), context)),
        Case("gather", context => QuantizedMatmul.GatherMultiply(
            Stack, X.AsSpan(0, 4 * 96), [4, 1, 1, 96], default, new IndexArray(Ids, [4, 2]), Y.AsSpan(0, 8 * 64), context)),
        Case("gradient of a gather", context => QuantizedMatmul.GatherGradient(
            Stack, X.AsSpan(0, 8 * 64), [4, 1, 1, 96], default, new IndexArray(Ids, [4, 2]), Y.AsSpan(0, 4 * 96), context)),
        Case("layers", context =>
        {
            Linear.Forward(X.AsSpan(0, 512), Y.AsSpan(0, 256), context);
            Linear.Backward(X.AsSpan(0, 256), Y.AsSpan(0, 512), context);
            Table.Lookup(Ids, Y.AsSpan(0, 8 * 512), context);
            Switch.Forward(X.AsSpan(0, 4 * 96), Ids, Y.AsSpan(0, 8 * 64), context);
            Switch.Backward(X.AsSpan(0, 8 * 64), Ids, Y.AsSpan(0, 4 * 96), context);
            Multi.Forward(X.AsSpan(0, 2 * 4 * 3 * 96), [2, 4, 3, 96], Y.AsSpan(0, 2 * 4 * 3 * 64), context);
            Multi.Backward(X.AsSpan(0, 2 * 4 * 3 * 64), [2, 1, 3, 96], Y.AsSpan(0, 2 * 3 * 96), context);
        }),
    ];

    private static QuantizedLinear Linear { get; } = new(Matrix, new float[256]);

    private static QuantizedEmbedding Table { get; } = new(Matrix);

    private static QuantizedSwitchLinear Switch { get; } = new(Stack, new float[4 * 64]);

    private static QuantizedMultiLinear Multi { get; } = new(Stack);

    [OneTimeTearDown]
    public static void TearDown()
    {
        Matrix.Dispose();
        Floats.Dispose();
        Stack.Dispose();
    }

    [TestCaseSource(nameof(Products))]
    public void NothingIsAllocated(Action<MatmulContext> product)
    {
        foreach (ActivationPrecision activations in Enum.GetValues<ActivationPrecision>())
        {
            using MatmulContext context = Contexts.Create(threads: 3, activations);
            product(context);
            product(context);

            // The process has other threads (the test host's) that may allocate once in a while: a product that allocates does so each time.
            long least = long.MaxValue;
            for (int attempt = 0; attempt < 10 && least > 0; attempt++)
            {
                long before = GC.GetTotalAllocatedBytes(precise: true);
                for (int i = 0; i < 10; i++)
                {
                    product(context);
                }

                least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
            }

            Assert.That(Allocations.LeastOf(() => product(context)), Is.Zero, $"the caller's thread, {activations}");
            Assert.That(least, Is.Zero, $"all threads, {activations}");
        }
    }

    private static TestCaseData Case(string name, Action<MatmulContext> product) => new TestCaseData(product).SetArgDisplayNames(name);
}
