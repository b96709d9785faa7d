using System.Numerics.Tensors;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Layers;
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
    private readonly MatmulContext _context;
    private readonly ModelProducts _products;
    private readonly QuantizedEmbedding _embedding;
    private readonly QuantizedLinear _head;
    private readonly float[] _finalNorm;
    private readonly TransformerLayer[] _layers;
    private readonly RotaryEmbedding _rope;
    private readonly RotaryEmbedding _localRope;
    private readonly FloatBuffer _stream = new();
    private readonly FloatBuffer _normed = new();
    private readonly FloatBuffer _queries = new();
    private readonly FloatBuffer _keys = new();
    private readonly FloatBuffer _values = new();
    private readonly FloatBuffer _attended = new();
    private readonly FloatBuffer _gate = new();
    private readonly FloatBuffer _up = new();
    private readonly FloatBuffer _added = new();
    private readonly NormWork _norm;
    private readonly HeadWork _heads;
    private readonly GateWork _activation;
    private readonly AttentionWork _attention;
    private readonly ExpertWork? _experts;
    private RowTarget[] _targets = [];
    private int[] _positions = [];

    public Transformer(
        ModelConfig config,
        ModelWeights weights,
        MatmulContext context,
        IMatmulBackend? backend,
        int contextLength,
        Action<int>? loaded,
        CancellationToken cancellation)
    {
        _config = config;
        _context = context;
        _products = new ModelProducts(context, backend);
        QuantizedTensor embedding = weights.Matrix("model.embed_tokens.weight", config.VocabularySize, config.HiddenSize);
        _embedding = new QuantizedEmbedding(embedding);
        _layers = new TransformerLayer[config.LayerCount];
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            cancellation.ThrowIfCancellationRequested();
            _layers[layer] = new TransformerLayer(config, weights, layer);
            loaded?.Invoke(layer);
        }

        _finalNorm = TransformerLayer.Norm(config, weights, "model.norm", config.HiddenSize);
        _head = config.TiesEmbedding && !weights.Contains("lm_head.weight")
            ? _embedding.AsLinear()
            : TransformerLayer.Linear(weights, "lm_head", config.VocabularySize, config.HiddenSize, hasBias: false);
        _rope = new RotaryEmbedding(config.Rope, config.InterleavedRope, contextLength);
        _localRope = config.LocalRope is null ? _rope : new RotaryEmbedding(config.LocalRope, config.InterleavedRope, contextLength);
        _norm = new NormWork(config.NormEpsilon);
        _heads = new HeadWork(config);
        _activation = new GateWork(config.Activation);
        _attention = new AttentionWork(config, AttentionKernel.Best);
        _experts = config.Experts is null ? null : new ExpertWork(config);
    }

    /// <summary>Continues texts.</summary>
    /// <param name="tokens">The next tokens of all texts, text after text.</param>
    /// <param name="sequences">Which rows continue which text. The caches are advanced by the caller.</param>
    /// <param name="outputRows">Rows whose results are wanted; ascending.</param>
    /// <param name="logits">[output rows][vocabulary]; empty for none.</param>
    /// <param name="hidden">[output rows][hidden], after the last norm; empty for none.</param>
    /// <param name="cancellation">Ends it early; the caches are as before then.</param>
    public void Forward(
        ReadOnlySpan<int> tokens,
        List<SequenceChunk> sequences,
        ReadOnlySpan<int> outputRows,
        Span<float> logits,
        Span<float> hidden,
        CancellationToken cancellation)
    {
        int rows = tokens.Length;
        int width = _config.HiddenSize;
        _products.Forget();
        Prepare(rows, sequences);
        Span<float> stream = _stream.Get((long)rows * width);
        _embedding.Lookup(tokens, stream, _context, cancellation);
        if (_config.EmbeddingScale != 1)
        {
            TensorPrimitives.Multiply(stream, _config.EmbeddingScale, stream);
        }

        float* normed = _normed.Reserve((long)rows * width);
        float* added = _added.Reserve((long)rows * width);
        float[]? addedNorm = null;
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            TransformerLayer weights = _layers[layer];
            _norm.Run(
                _stream.Pointer, layer == 0 ? null : added, addedNorm, weights.InputNorm, normed, rows, width, _context, cancellation);
            Attend(layer, rows, sequences, cancellation);
            _norm.Run(
                _stream.Pointer, added, weights.PostAttentionNorm, weights.FeedForwardNorm, normed, rows, width, _context, cancellation);
            FeedForward(weights, rows, cancellation);
            addedNorm = weights.PostFeedForwardNorm;
        }

        _norm.Run(_stream.Pointer, added, addedNorm, null, null, rows, width, _context, cancellation);
        Finish(outputRows, logits, hidden, cancellation);
    }

    public void Dispose()
    {
        foreach (FloatBuffer buffer in new[] { _stream, _normed, _queries, _keys, _values, _attended, _gate, _up, _added })
        {
            buffer.Dispose();
        }

        _rope.Dispose();
        _localRope.Dispose();
        _experts?.Dispose();
        _products.Dispose();
    }

    private void Prepare(int rows, List<SequenceChunk> sequences)
    {
        if (_positions.Length < rows)
        {
            _positions = new int[rows];
            _targets = new RowTarget[rows];
        }

        int longest = 0;
        foreach (SequenceChunk sequence in sequences)
        {
            sequence.Cache.Reserve(sequence.Count);
            for (int i = 0; i < sequence.Count; i++)
            {
                int position = sequence.Cache.Length + i;
                _positions[sequence.FirstRow + i] = position;
                _targets[sequence.FirstRow + i] = new RowTarget(sequence.Cache, position);
            }

            longest = Math.Max(longest, sequence.Cache.Length + sequence.Count);
        }

        _rope.Prepare(_positions.AsSpan(0, rows), longest);
        if (_localRope != _rope)
        {
            _localRope.Prepare(_positions.AsSpan(0, rows), longest);
        }
    }

    private void Attend(int layer, int rows, List<SequenceChunk> sequences, CancellationToken cancellation)
    {
        TransformerLayer weights = _layers[layer];
        float* input = _normed.Pointer;
        float* queries = _queries.Reserve(rows * weights.Query.Outputs);
        float* keys = _keys.Reserve(rows * weights.Key.Outputs);
        float* values = _values.Reserve(rows * weights.Value.Outputs);
        _products.Multiply(weights.Query, input, queries, rows, cancellation);
        _products.Multiply(weights.Key, input, keys, rows, cancellation);
        _products.Multiply(weights.Value, input, values, rows, cancellation);
        _products.Finish();
        RotaryEmbedding rope = _config.GetWindow(layer) > 0 ? _localRope : _rope;
        _heads.Run(layer, queries, keys, values, weights.QueryNorm, weights.KeyNorm, rope, _targets, rows, _context, cancellation);
        float* attended = _attended.Reserve(rows * weights.Query.Outputs);
        _attention.Run(layer, sequences, queries, attended, _context, cancellation);
        _products.Multiply(weights.Output, attended, _added.Pointer, rows, cancellation);
        _products.Finish();
    }

    private void FeedForward(TransformerLayer weights, int rows, CancellationToken cancellation)
    {
        float* input = _normed.Pointer;
        float* output = _added.Pointer;
        if (weights.Experts is not null)
        {
            _experts!.Run(weights.Experts, input, output, rows, _products, _context, cancellation);
            return;
        }

        float* gate = _gate.Reserve((long)rows * _config.IntermediateSize);
        float* up = _up.Reserve((long)rows * _config.IntermediateSize);
        _products.Multiply(weights.Gate!, input, gate, rows, cancellation);
        _products.Multiply(weights.Up!, input, up, rows, cancellation);
        _products.Finish();
        _activation.Run(gate, up, rows, _config.IntermediateSize, _context, cancellation);
        _products.Multiply(weights.Down!, gate, output, rows, cancellation);
        _products.Finish();
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
            var row = new ReadOnlySpan<float>(_stream.Pointer + ((long)outputRows[i] * width), width);
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
            _products.Multiply(_head, _normed.Pointer, target, outputRows.Length, cancellation);
            _products.Finish();
        }

        if (_config.LogitSoftCap > 0)
        {
            TensorPrimitives.Divide(logits, _config.LogitSoftCap, logits);
            TensorPrimitives.Tanh(logits, logits);
            TensorPrimitives.Multiply(logits, _config.LogitSoftCap, logits);
        }
    }
}
