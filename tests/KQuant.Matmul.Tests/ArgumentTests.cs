using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Every misuse is one sentence with the numbers in it, before anything is computed.</summary>
public class ArgumentTests
{
    private readonly QuantizedTensor _matrix = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(24, 512));
    private readonly QuantizedTensor _stack = RandomTensors.Create(QuantFormat.Q4_K, QuantShape.Stack(3, 24, 512));
    private MatmulContext _context = null!;

    [OneTimeSetUp]
    public void SetUp() => _context = Contexts.Create();

    [OneTimeTearDown]
    public void TearDown()
    {
        _context.Dispose();
        _matrix.Dispose();
        _stack.Dispose();
    }

    [Test]
    public void InnerSizes()
    {
        Fails<ArgumentException>(
            () => QuantizedMatmul.Multiply(_matrix, new float[1000], new float[48], _context),
            "x has 1000 values, which is no multiple of the 512 columns of q4_k [24, 512].");
        Fails<ArgumentException>(
            () => QuantizedMatmul.MultiplyTransposed(_matrix, new float[25], new float[512], _context),
            "dy has 25 values, which is no multiple of the 24 rows of q4_k [24, 512].");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[511], [1, 511], default, Ids(0), new float[24], _context),
            "x has the shape [1, 511], so 511 values per row; q4_k [3, 24, 512] has 512 columns.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiplyTransposed(_stack, new float[512], [1, 512], default, Ids(0), new float[512], _context),
            "x has the shape [1, 512], so 512 values per row; q4_k [3, 24, 512] has 24 rows.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherGradient(_stack, new float[24], [1, 24], default, Ids(0), new float[24], _context),
            "x has the shape [1, 24], so 24 values per row; q4_k [3, 24, 512] has 512 columns.");
        Fails<ArgumentException>(
            () => new QuantizedMultiLinear(_stack).Forward(new float[24], [1, 1, 1, 24], new float[24], _context),
            "x has the shape [1, 1, 1, 24], so 24 values per row; q4_k [3, 24, 512] has 512 columns.");
    }

    [Test]
    public void OutputLengths()
    {
        Fails<ArgumentException>(
            () => QuantizedMatmul.Multiply(_matrix, new float[1024], new float[47], _context), "y has 47 values; 2 rows of 24 are 48.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.MultiplyTransposed(_matrix, new float[48], new float[1], _context), "dx has 1 values; 2 rows of 512 are 1024.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [1, 512], default, Ids(0, 1), new float[24], _context),
            "y has 24 values; 2 entries of 1 rows of 24 are 48.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherGradient(_stack, new float[24], [1, 512], default, Ids(0, 1), new float[512], _context),
            "dy has 24 values; 2 entries of 1 rows of 24 are 48.");
        Fails<ArgumentException>(
            () => new QuantizedEmbedding(_matrix).Lookup(Ids(0, 1), new float[512], _context), "y has 512 values; 2 rows of 512 are 1024.");
        Fails<ArgumentException>(
            () => new QuantizedMultiLinear(_stack).Forward(new float[512], [1, 1, 1, 512], new float[24], _context),
            "y has 24 values; 3 rows of 24 are 72.");
    }

    [Test]
    public void InputLengths()
    {
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[513], [1, 512], default, Ids(0), new float[24], _context),
            "x has 513 values; the shape [1, 512] has 512.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherGradient(_stack, new float[24], [1, 512], default, Ids(0), new float[513], _context),
            "dx has 513 values; the shape [1, 512] has 512.");
        Fails<ArgumentException>(
            () => new QuantizedMultiLinear(_stack).Backward(new float[72], [1, 1, 1, 512], new float[513], _context),
            "dx has 513 values; the shape [1, 1, 1, 512] has 512.");
    }

    [Test]
    public void Stacks()
    {
        Fails<ArgumentException>(
            () => QuantizedMatmul.Multiply(_stack, new float[512], new float[24], _context),
            "The weights q4_k [3, 24, 512] are a stack of 3 matrices and this product takes one: use GatherMultiply, or Slice one of them.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [1, 512], default, default, new float[24], _context),
            "q4_k [3, 24, 512] is a stack of 3 matrices and there is neither an lhs nor an rhs index array.");
        Fails<ArgumentException>(() => _ = new QuantizedLinear(_stack), "The weights q4_k [3, 24, 512] are a stack of 3 matrices");
        Fails<ArgumentException>(() => _ = new QuantizedEmbedding(_stack), "The weights q4_k [3, 24, 512] are a stack of 3 matrices");
    }

    [Test]
    public void Indices()
    {
        Fails<ArgumentOutOfRangeException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [1, 512], default, Ids(0, 3), new float[48], _context),
            "rhs has 3 at entry 1; there are 3 experts.");
        Fails<ArgumentOutOfRangeException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [1, 512], default, Ids(-1), new float[24], _context),
            "rhs has -1 at entry 0; there are 3 experts.");
        Fails<ArgumentOutOfRangeException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[1024], [2, 1, 512], Ids(0, 2, 1), default, new float[72], _context),
            "lhs has 2 at entry 1; there are 2 matrices of x.");
        Fails<ArgumentOutOfRangeException>(
            () => QuantizedMatmul.GatherGradient(_stack, new float[24], [1, 512], default, Ids(9), new float[512], _context),
            "rhs has 9 at entry 0; there are 3 experts.");
        Fails<ArgumentOutOfRangeException>(
            () => new QuantizedEmbedding(_matrix).Lookup(Ids(1, 24), new float[1024], _context), "ids has 24 at entry 1; there are 24 vectors.");
        Fails<ArgumentOutOfRangeException>(
            () => new QuantizedEmbedding(_matrix).Lookup(Ids(-5), new float[512], _context), "ids has -5 at entry 0; there are 24 vectors.");
        Fails<ArgumentException>(
            () => new QuantizedSwitchLinear(_stack).Forward(new float[1024], Ids(0, 1, 2), new float[72], _context),
            "There are 3 experts chosen for 2 rows; every row needs the same number.");
    }

    [Test]
    public void Shapes()
    {
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [512], default, Ids(0), new float[24], _context),
            "x has the shape [512]; a gather needs at least two dimensions, [..., rows, columns].");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [-1, 512], default, Ids(0), new float[24], _context),
            "shape has the shape [-1, 512]; lengths cannot be negative nor their product exceed 2147483647.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[1024], [2, 1, 512], Ids(0, 1), Ids(0, 1, 2), new float[72], _context),
            "lhs of shape [2] and rhs of shape [3] cannot be broadcast together.");
        Fails<ArgumentException>(() => _ = new IndexArray(Ids(1, 2, 3), [2, 2]).IsMissing, "There are 3 indices; the shape [2, 2] has 4.");
        Fails<ArgumentException>(
            () => new QuantizedMultiLinear(_stack).Forward(new float[1024], [1, 2, 1, 512], new float[48], _context),
            "x has the shape [1, 2, 1, 512]; q4_k [3, 24, 512] takes [batches, 3 or 1, length, values].");
        Fails<ArgumentException>(() => _ = new QuantizedLinear(_matrix, new float[23]), "The bias has 23 values; q4_k [24, 512] has 24 rows.");
        Fails<ArgumentException>(() => _ = new QuantizedSwitchLinear(_stack, new float[24]), "The bias has 24 values; q4_k [3, 24, 512] has 72 rows.");
    }

    [Test]
    public void Overlaps()
    {
        var memory = new float[1024];
        Fails<ArgumentException>(
            () => QuantizedMatmul.Multiply(_matrix, memory.AsSpan(0, 512), memory.AsSpan(511, 24), _context),
            "x and y overlap; a product cannot be computed in place.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.MultiplyTransposed(_matrix, memory.AsSpan(520, 24), memory.AsSpan(0, 512 + 9)[9..], _context),
            "dy and dx overlap; a product cannot be computed in place.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherMultiply(_stack, memory.AsSpan(0, 512), [1, 512], default, Ids(0), memory.AsSpan(100, 24), _context),
            "x and y overlap; a product cannot be computed in place.");
        Fails<ArgumentException>(
            () => QuantizedMatmul.GatherGradient(_stack, memory.AsSpan(0, 24), [1, 512], default, Ids(0), memory.AsSpan(0, 512), _context),
            "dy and dx overlap; a product cannot be computed in place.");
        Assert.That(() => QuantizedMatmul.Multiply(_matrix, memory.AsSpan(0, 512), memory.AsSpan(512, 24), _context), Throws.Nothing);
    }

    [Test]
    public void ResultsMustNotLieInTheWeights()
    {
        var memory = new float[4096];
        ReadOnlyMemory<byte> bytes = new CastMemory(memory).Memory[..(4 * 512)];
        QuantizedTensor weights = QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), new QuantShape(2, 256), bytes);

        Fails<ArgumentException>(
            () => QuantizedMatmul.Multiply(weights, new float[256], memory.AsSpan(511, 2), _context),
            "weights and y overlap; a product cannot be computed in place.");
    }

    [Test]
    public void DisposedThings()
    {
        MatmulContext context = Contexts.Create();
        context.Dispose();
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(24, 512));
        weights.Dispose();

        Fails<ObjectDisposedException>(() => QuantizedMatmul.Multiply(_matrix, new float[512], new float[24], context), nameof(MatmulContext));
        Fails<ObjectDisposedException>(
            () => QuantizedMatmul.GatherMultiply(_stack, new float[512], [1, 512], default, Ids(0), new float[24], context), nameof(MatmulContext));
        Fails<ObjectDisposedException>(() => new QuantizedEmbedding(_matrix).Lookup(Ids(0), new float[512], context), nameof(MatmulContext));
        Fails<ObjectDisposedException>(() => QuantizedMatmul.Multiply(weights, new float[512], new float[24], _context), nameof(QuantizedTensor));
        Assert.That(context.Dispose, Throws.Nothing, "twice");
    }

    [Test]
    public void Nulls()
    {
        QuantizedTensor none = null!;
        PackedTensor nonePacked = null!;
        Assert.That(() => QuantizedMatmul.Multiply(none, new float[512], new float[24], _context), Throws.ArgumentNullException);
        Assert.That(() => QuantizedMatmul.Multiply(nonePacked, new float[512], new float[24], _context), Throws.ArgumentNullException);
        Assert.That(() => QuantizedMatmul.Multiply(_matrix, new float[512], new float[24], null!), Throws.ArgumentNullException);
        Assert.That(
            () => QuantizedMatmul.GatherMultiply(none, new float[512], [1, 512], default, Ids(0), new float[24], _context),
            Throws.ArgumentNullException);
        Assert.That(() => new QuantizedLinear(none), Throws.ArgumentNullException);
        Assert.That(() => new QuantizedLinear(nonePacked), Throws.ArgumentNullException);
        Assert.That(() => new QuantizedEmbedding(none), Throws.ArgumentNullException);
        Assert.That(() => new QuantizedSwitchLinear(none), Throws.ArgumentNullException);
        Assert.That(() => new QuantizedSwitchLinear(nonePacked), Throws.ArgumentNullException);
        Assert.That(() => new QuantizedMultiLinear(none), Throws.ArgumentNullException);
        Assert.That(() => PackedTensor.Pack(none, _context), Throws.ArgumentNullException);
        Assert.That(() => PackedTensor.Pack(_matrix, null!), Throws.ArgumentNullException);
    }

    [Test]
    public void Options()
    {
        Assert.That(() => new MatmulOptions { MaxDegreeOfParallelism = 0 }, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new MatmulOptions { MaxDegreeOfParallelism = -2 }, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new MatmulOptions { MaxDegreeOfParallelism = 1025 }, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new MatmulOptions { SpinBeforePark = TimeSpan.FromTicks(-1) }, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => _context.GetKernel(QuantCodec.Quantized[0], 0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => _context.GetTier(null!), Throws.ArgumentNullException);
    }

    [TestCase(null, ExpectedResult = -1)]
    [TestCase("", ExpectedResult = -1)]
    [TestCase("3", ExpectedResult = 3)]
    [TestCase("1024", ExpectedResult = 1024)]
    public int ThreadsFromTheEnvironment(string? value) => MatmulOptions.ParseThreads(value);

    [Test]
    public void AllThreadsAreOnePerProcessor()
    {
        using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = -1 });

        Assert.That(context.Threads, Is.EqualTo(Math.Min(Environment.ProcessorCount, MatmulOptions.ThreadLimit)));
    }

    [TestCase("0")]
    [TestCase("-1")]
    [TestCase("1025")]
    [TestCase("four")]
    [TestCase(" 4")]
    public void BadThreadsInTheEnvironment(string value) => Fails<ArgumentException>(
        () => MatmulOptions.ParseThreads(value), $"KQUANT_THREADS is '{value}'; it must be a whole number from 1 to 1024.");

    private static int[] Ids(params int[] ids) => ids;

    private static void Fails<TException>(Action action, string message)
        where TException : Exception =>
        Assert.That(action, Throws.TypeOf<TException>().With.Message.Contains(message));

    // Floats seen as bytes without a copy.
    private sealed unsafe class CastMemory(float[] values) : System.Buffers.MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan());

        public override System.Buffers.MemoryHandle Pin(int elementIndex = 0)
        {
            var handle = System.Runtime.InteropServices.GCHandle.Alloc(values, System.Runtime.InteropServices.GCHandleType.Pinned);
            return new System.Buffers.MemoryHandle((byte*)handle.AddrOfPinnedObject() + elementIndex, handle);
        }

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
