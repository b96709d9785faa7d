using KQuant.Codecs.Files;
using KQuant.Matmul;
using KQuant.Models.Caching;
using KQuant.Models.Products;
using KQuant.Models.Transformers;
using KQuant.Models.Weights;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>
/// A kind of attention that remembers no keys but a running sum stands beside softmax attention: in a layer, in caches, in steps of several
/// texts.
/// </summary>
public unsafe class AttentionKindTests
{
    private static readonly int[] First = RandomCheckpoint.Prompt(9);
    private static readonly int[] Second = RandomCheckpoint.Prompt(5);

    private readonly TemporaryFolder _folder = new();
    private MatmulContext _matmul = null!;
    private ModelWeights _weights = null!;
    private ResidualStream _stream = null!;
    private LayerActivations _activations = null!;
    private StepContext _context = null!;
    private DecoderLayer _layer = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        ModelSource source = ModelSource.Open(RandomCheckpoint.Create("llama").Write(_folder["model"]));
        var config = ModelConfig.Read(source);
        _weights = new ModelWeights(source);
        _matmul = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        _stream = new ResidualStream(config.HiddenSize, config.NormEpsilon);
        _activations = new LayerActivations(keepsAll: false);
        _context = new StepContext(_matmul) { Products = new ProcessorProducts(_matmul) };
        var loader = new WeightLoader(config, _weights, "model.layers.0.", []);
        _layer = new DecoderLayer(
            new LayerNorms(loader), new SumAttention(0, config.HiddenSize), new DenseFeedForward(loader.Enter("mlp."), new GateWork(config.Activation)), 1);
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _activations?.Dispose();
        _stream?.Dispose();
        _weights?.Dispose();
        _matmul?.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void TextsInPiecesAndTogetherAreTextsAlone()
    {
        using KeyValueCache alone = Create(), pieces = Create(), other = Create(), otherAlone = Create();
        float[] expected = Run((alone, First));
        float[] expectedOther = Run((otherAlone, Second));
        float[] head = Run((pieces, First[..4]));
        float[] mixed = Run((other, Second), (pieces, First[4..]));
        Assert.That(head.Concat(mixed.Skip(expectedOther.Length)), Is.EqualTo(expected).Within(1e-4));
        Assert.That(mixed.Take(expectedOther.Length), Is.EqualTo(expectedOther).Within(1e-4));
    }

    [Test]
    public void ItForksButDoesNotGoBack()
    {
        using KeyValueCache cache = Create();
        Run((cache, First[..6]));
        using KeyValueCache fork = cache.Fork();
        float[] expected = Run((cache, First[6..]));
        Assert.That(cache.TryTruncate(6), Is.False);
        Assert.That(cache.TryFork(6, out _), Is.False);
        Assert.That(Run((fork, First[6..])), Is.EqualTo(expected));
        cache.Clear();
        using KeyValueCache fresh = Create();
        Assert.That(Run((cache, Second)), Is.EqualTo(Run((fresh, Second))));
    }

    [Test]
    public void AStepThatIsNotCompleteDoesNotCount()
    {
        using KeyValueCache cache = Create(), fresh = Create();
        var step = new ModelStep();
        step.Add(cache, First, StepOutputs.None);
        Forward(step);
        Assert.That(Run((cache, Second)), Is.EqualTo(Run((fresh, Second))));
    }

    private KeyValueCache Create() => new(new object(), () => [], [_layer.Attention.CreateState(default, 0, 512)], 1000, 0);

    private float[] Run(params (KeyValueCache Cache, int[] Tokens)[] chunks)
    {
        var step = new ModelStep();
        foreach ((KeyValueCache cache, int[] tokens) in chunks)
        {
            step.Add(cache, tokens, StepOutputs.None);
        }

        float[] results = Forward(step);
        foreach ((KeyValueCache cache, int[] tokens) in chunks)
        {
            cache.Advance(tokens);
        }

        return results;
    }

    private float[] Forward(ModelStep step)
    {
        _context.Begin(step, default);
        Span<float> stream = _stream.Begin(step.Tokens.Length);
        for (int row = 0; row < step.Tokens.Length; row++)
        {
            Numbers.Gaussian(_stream.Width, step.Tokens[row]).CopyTo(stream[(row * _stream.Width)..]);
        }

        _layer.Forward(_stream, _activations, _context);
        _stream.Normalize(null, null, _context);
        return stream.ToArray();
    }

    private sealed class SumAttention(int layer, int width) : LayerAttention
    {
        public override LayerState CreateState(LayerCacheFormat format, int maxSize, int chunk) => new SumState(width);

        public override void Forward(LayerActivations activations, StepContext step)
        {
            float* output = activations.AttentionOutput.Reserve((long)step.Rows * width);
            foreach (SequenceChunk chunk in step.Chunks)
            {
                float[] sum = chunk.Cache.GetState<SumState>(layer).Next;
                for (int row = chunk.FirstRow; row < chunk.FirstRow + chunk.Count; row++)
                {
                    for (int i = 0; i < width; i++)
                    {
                        output[(row * width) + i] = sum[i] += activations.AttentionInput.Pointer[(row * width) + i];
                    }
                }
            }
        }
    }

    private sealed class SumState(int width) : LayerState
    {
        private float[] _sum = new float[width];
        private int _length;

        public float[] Next { get; private set; } = new float[width];

        public override long ByteCount => 2L * sizeof(float) * width;

        public override string Layout => $"a sum of {width}";

        public override long GetByteCount(int length) => ByteCount;

        public override long GetStoredByteCount(int length) => sizeof(float) * width;

        public override void Reserve(int length)
        {
        }

        public override void Pass(CacheTransfer transfer, int length)
        {
            transfer.Pass(System.Runtime.InteropServices.MemoryMarshal.AsBytes(_sum.AsSpan()));
            _length = length;
        }

        public override void Prepare(int length, int added, int limit) => _sum.CopyTo(Next, 0);

        public override void Advance(int length)
        {
            (_sum, Next) = (Next, _sum);
            _length = length;
        }

        public override bool CanTruncate(int length) => length == 0 || length == _length;

        public override void Truncate(int length)
        {
            if (length == 0)
            {
                Array.Clear(_sum);
            }

            _length = length;
        }

        public override LayerState Fork(int length) => new SumState(width) { _sum = length == 0 ? new float[width] : [.. _sum], _length = length };

        public override void Dispose()
        {
        }
    }
}
