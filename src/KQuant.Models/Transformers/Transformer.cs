using System.Numerics.Tensors;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Vectors;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.Models.Computing;
using KQuant.Models.Products;
using KQuant.Models.Weights;

namespace KQuant.Models.Transformers;

/// <summary>
/// The decoder that all families share; what differs between them is in <see cref="ModelConfig"/>. Rows of several texts go through it
/// together: only attention knows which text a row belongs to.
/// </summary>
/// <remarks>One call at a time. After the first call of a size nothing is allocated on the managed heap.</remarks>
internal sealed unsafe class Transformer : IDisposable
{
    private readonly ModelConfig _config;
    private readonly StepContext _context;
    private readonly ModelWeight _embedding;
    private readonly ModelWeight _head;
    private readonly float[] _finalNorm;
    private readonly DecoderLayer[] _layers;
    private readonly RotaryEmbedding _rope;
    private readonly RotaryEmbedding _localRope;
    private readonly AttentionWork _attention;
    private readonly ResidualStream _stream;
    private readonly LayerActivations _shared = new(keepsAll: false);
    private readonly NativeBuffer<float> _normed = new();
    private readonly BackendProducts? _backend;
    private readonly StepRecorder? _recorder;
    private readonly List<ModelWeight> _weights = [];

    /// <param name="config">What it computes.</param>
    /// <param name="weights">Its tensors.</param>
    /// <param name="matmul">Threads and kernels.</param>
    /// <param name="products">Computes the products with weights; disposed with this.</param>
    /// <param name="contextLength">Tokens that a text may have.</param>
    /// <param name="loaded">Told of every layer.</param>
    /// <param name="cancellation">Ends loading.</param>
    public Transformer(
        ModelConfig config,
        ModelWeights weights,
        MatmulContext matmul,
        IModelProducts products,
        int contextLength,
        Action<int>? loaded,
        CancellationToken cancellation)
    {
        _config = config;
        _context = new StepContext(matmul) { Products = products };
        _backend = products as BackendProducts;
        _recorder = _backend?.Layers is { } layers ? new StepRecorder(_backend, layers) : null;
        var all = new WeightLoader(config, weights, "", _weights);
        _embedding = all.Matrix("model.embed_tokens", config.VocabularySize, config.HiddenSize);
        _rope = new RotaryEmbedding(config.Rope, config.InterleavedRope, contextLength);
        _localRope = config.LocalRope is null ? _rope : new RotaryEmbedding(config.LocalRope, config.InterleavedRope, contextLength);
        _attention = new AttentionWork(config, AttentionKernel.Best);
        _layers = Load(all, loaded, cancellation);
        _finalNorm = all.Norm("model.norm", config.HiddenSize);
        _head = config.TiesEmbedding && !all.Contains("lm_head")
            ? _embedding
            : all.Matrix("lm_head", config.VocabularySize, config.HiddenSize);
        _stream = new ResidualStream(config.HiddenSize, config.NormEpsilon);
    }

    /// <summary>Computes the products with weights. What is put in its place wraps it.</summary>
    public IModelProducts Products
    {
        get => _context.Products;
        set => _context.Products = value;
    }

    /// <summary>Everything that is multiplied with, parts of a fused matrix in their order.</summary>
    public IReadOnlyList<ModelWeight> Weights => _weights;

    /// <summary>
    /// Where each layer computes, if everything is to be kept: a set for each; null for one set that all share. Sets are their owner's.
    /// </summary>
    public IReadOnlyList<LayerActivations>? Activations { get; set; }

    /// <summary>Measures attention; null for not at all.</summary>
    public AttentionClock? Clock
    {
        get => _context.Clock;
        set => _context.Clock = value;
    }

    /// <summary>The states of a text without tokens, for all layers.</summary>
    /// <param name="options">How keys and values are stored.</param>
    /// <param name="maxSize">Tokens to remember at most; 0 for all.</param>
    /// <param name="chunk">The most tokens of a text in a step.</param>
    public LayerState[] CreateStates(CacheOptions options, int maxSize, int chunk)
    {
        LayerState[] states = [.. _layers.Select((layer, i) => layer.Attention.CreateState(options.GetLayer(i), maxSize, chunk))];
        foreach (LayerState state in states)
        {
            if (state is LayerCache cache && _recorder is not null)
            {
                cache.UseMemoryOf(_recorder.Backend);
            }
        }

        return states;
    }

    /// <summary>Continues texts.</summary>
    /// <param name="step">The chunks. Their caches go on when the caller says so.</param>
    /// <param name="logits">[output rows][vocabulary]; empty for none.</param>
    /// <param name="hidden">[output rows][hidden], after the last norm; empty for none.</param>
    /// <param name="cancellation">Ends it early; the caches are as before then.</param>
    public void Forward(ModelStep step, Span<float> logits, Span<float> hidden, CancellationToken cancellation)
    {
        _context.Begin(step, cancellation);
        Prepare(_rope, step);
        if (_localRope != _rope)
        {
            Prepare(_localRope, step);
        }

        if (CanRecord(step))
        {
            Record(_recorder!, step, logits, hidden, cancellation);
            return;
        }

        Embed(step, _stream.Begin(step.Tokens.Length), cancellation);
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            _layers[layer].Forward(_stream, Activations is null ? _shared : Activations[layer], _context);
        }

        _stream.Normalize(null, null, _context);
        Finish(step.OutputRows, logits, hidden, cancellation);
    }

    public void Dispose()
    {
        _attention.Dispose();
        _stream.Dispose();
        _shared.Dispose();
        _normed.Dispose();
        _rope.Dispose();
        _localRope.Dispose();
        _recorder?.Dispose();
        Products.Dispose();
    }

    private static void Prepare(RotaryEmbedding rope, ModelStep step)
    {
        rope.Reserve(step.Tokens.Length);
        foreach (SequenceChunk chunk in step.Chunks)
        {
            rope.Prepare(chunk.FirstRow, chunk.Cache.Length, chunk.Count);
        }
    }

    private void Embed(ModelStep step, Span<float> stream, CancellationToken cancellation)
    {
        Products.Lookup(_embedding, step.Tokens, stream, cancellation);
        if (_config.EmbeddingScale != 1)
        {
            RowMath.Multiply(stream, _config.EmbeddingScale, stream);
        }
    }

    /// <summary>Whether a backend does the whole step: few rows, nobody who watches products or keeps activations, and layers that can.</summary>
    private bool CanRecord(ModelStep step) =>
        _recorder is not null && step.Tokens.Length <= StepRecorder.MaxRows && ReferenceEquals(Products, _backend) && Activations is null
        && _recorder.Has(_head) && Array.TrueForAll(_layers, layer => layer.CanRecord(_recorder, _context));

    /// <summary>One submission, one wait: sampling is the processor's.</summary>
    private void Record(StepRecorder recorder, ModelStep step, Span<float> logits, Span<float> hidden, CancellationToken cancellation)
    {
        int rows = step.Tokens.Length, width = _config.HiddenSize, vocabulary = _config.VocabularySize;
        recorder.Begin(rows, width);
        Embed(step, recorder.Stream.Values[..(rows * width)], cancellation);
        recorder.SetAngles(_rope);
        if (_localRope != _rope)
        {
            recorder.SetAngles(_localRope);
        }

        foreach (DecoderLayer layer in _layers)
        {
            layer.Record(recorder, _config.NormEpsilon, _context);
        }

        recorder.Normalize(_finalNorm, _config.NormEpsilon);
        BackendBuffer? scores = logits.IsEmpty ? null : recorder.Reserve(rows * vocabulary, nameof(logits));
        if (scores is not null)
        {
            recorder.Multiply(_head, recorder.Input, scores);
        }

        recorder.Backend.Synchronize();
        for (int i = 0; i < step.OutputRows.Length; i++)
        {
            int row = step.OutputRows[i];
            if (!hidden.IsEmpty)
            {
                recorder.Input.Values.Slice(row * width, width).CopyTo(hidden[(i * width)..]);
            }

            scores?.Values.Slice(row * vocabulary, vocabulary).CopyTo(logits[(i * vocabulary)..]);
        }

        ScaleAndCap(logits);
    }

    private DecoderLayer[] Load(WeightLoader all, Action<int>? loaded, CancellationToken cancellation)
    {
        var heads = new HeadWork(_config);
        var activation = new GateWork(_config.Activation);
        var sum = new WeightedSumWork();
        var layers = new DecoderLayer[_config.LayerCount];
        for (int layer = 0; layer < layers.Length; layer++)
        {
            cancellation.ThrowIfCancellationRequested();
            WeightLoader weights = all.Enter($"model.layers.{layer}.");
            RotaryEmbedding? rope = !_config.IsRotated(layer) ? null : _config.GetWindow(layer) > 0 ? _localRope : _rope;
            layers[layer] = new DecoderLayer(
                new LayerNorms(weights),
                new SoftmaxAttention(weights.Enter("self_attn."), layer, rope, heads, _attention),
                _config.HasExperts(layer)
                    ? new ExpertFeedForward(weights, activation, sum)
                    : new DenseFeedForward(weights.Enter("mlp."), activation),
                _config.ResidualScale);
            loaded?.Invoke(layer);
        }

        return layers;
    }

    private void Finish(ReadOnlySpan<int> outputRows, Span<float> logits, Span<float> hidden, CancellationToken cancellation)
    {
        if (outputRows.IsEmpty)
        {
            return;
        }

        int width = _config.HiddenSize;
        Span<float> normed = _normed.Get((long)outputRows.Length * width);
        for (int i = 0; i < outputRows.Length; i++)
        {
            var row = new ReadOnlySpan<float>(_stream.Values + ((long)outputRows[i] * width), width);
            NormWork.Normalize(row, _finalNorm, _config.NormEpsilon, normed.Slice(i * width, width));
        }

        if (!hidden.IsEmpty)
        {
            normed.CopyTo(hidden);
        }

        if (logits.IsEmpty)
        {
            return;
        }

        fixed (float* target = logits)
        {
            Products.Multiply(_head, new ProductInput(_normed.Pointer, outputRows.Length), target, cancellation);
            Products.Finish(cancellation);
        }

        ScaleAndCap(logits);
    }

    private void ScaleAndCap(Span<float> logits)
    {
        if (_config.LogitDivisor != 1)
        {
            TensorPrimitives.Divide(logits, _config.LogitDivisor, logits);
        }

        if (_config.LogitSoftCap > 0)
        {
            TensorPrimitives.Divide(logits, _config.LogitSoftCap, logits);
            TensorPrimitives.Tanh(logits, logits);
            TensorPrimitives.Multiply(logits, _config.LogitSoftCap, logits);
        }
    }
}
