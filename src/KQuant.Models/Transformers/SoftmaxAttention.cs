using KQuant.Matmul.Backends;
using KQuant.Models.Caching;
using KQuant.Models.Products;

namespace KQuant.Models.Transformers;

/// <summary>Softmax attention over keys and values in a cache, with rotary positions; all layers or some may have a sliding window.</summary>
internal sealed unsafe class SoftmaxAttention : LayerAttention
{
    /// <summary>First positions that a cache of limited size keeps.</summary>
    private const int KeptPositions = 4;

    private readonly ModelConfig _config;
    private readonly int _layer;
    private readonly ModelWeight _query;
    private readonly ModelWeight _key;
    private readonly ModelWeight _value;
    private readonly ModelWeight _output;
    private readonly float[]? _queryNorm;
    private readonly float[]? _keyNorm;
    private readonly float[]? _sinks;
    private readonly RotaryEmbedding? _rope;
    private readonly HeadWork _heads;
    private readonly AttentionWork _work;

    /// <param name="weights">The weights of the attention.</param>
    /// <param name="layer">Its layer.</param>
    /// <param name="rope">Its positions; null if it ignores them.</param>
    /// <param name="heads">Prepares heads; shared by all layers.</param>
    /// <param name="work">Attends; shared by all layers.</param>
    public SoftmaxAttention(WeightLoader weights, int layer, RotaryEmbedding? rope, HeadWork heads, AttentionWork work)
    {
        _config = weights.Config;
        _layer = layer;
        _rope = rope;
        _heads = heads;
        _work = work;
        int queryWidth = _config.HeadCount * _config.HeadSize;
        int keyWidth = _config.KeyValueHeadCount * _config.HeadSize;
        ModelWeight[] parts = weights.Parts(
            "qkv_proj", _config.HiddenSize, _config.HasProjectionBias, ("q_proj", queryWidth), ("k_proj", keyWidth), ("v_proj", keyWidth));
        (_query, _key, _value) = (parts[0], parts[1], parts[2]);
        _output = weights.Matrix("o_proj", _config.HiddenSize, queryWidth, _config.HasOutputBias);
        _sinks = _config.HasSinks ? weights.Parameter("sinks", _config.HeadCount) : null;
        if (_config.HasHeadNorms)
        {
            _queryNorm = weights.Norm("q_norm", _config.HeadSize);
            _keyNorm = weights.Norm("k_norm", _config.HeadSize);
        }
    }

    public override LayerState CreateState(LayerCacheFormat format, int maxSize, int chunk)
    {
        int window = _config.GetWindow(_layer);
        bool limits = maxSize > 0 && (window == 0 || maxSize < window);
        return new LayerCache(
            new SlotMap(limits ? maxSize : window, limits ? KeptPositions : 0, chunk),
            format.Keys.CreateKeys(_config.KeyValueHeadCount, _config.HeadSize),
            format.Values.CreateValues(_config.KeyValueHeadCount, _config.HeadSize),
            format);
    }

    public override void Forward(LayerActivations activations, StepContext step)
    {
        int rows = step.Rows;
        IModelProducts products = step.Products;
        var input = new ProductInput(activations.AttentionInput.Pointer, rows);
        float* queries = activations.Queries.Reserve((long)rows * _query.Outputs);
        float* keys = activations.Keys.Reserve((long)rows * _key.Outputs);
        float* values = activations.Values.Reserve((long)rows * _value.Outputs);
        products.Multiply(_query, input, queries, step.Cancellation);
        products.Multiply(_key, input, keys, step.Cancellation);
        products.Multiply(_value, input, values, step.Cancellation);
        products.Finish(step.Cancellation);
        _heads.Run(_layer, queries, keys, values, _queryNorm, _keyNorm, _rope, step);
        float* attended = activations.Attended.Reserve((long)rows * _query.Outputs);
        long start = step.Clock is null ? 0 : AttentionClock.Now;
        _work.Run(_layer, step, queries, _sinks, attended);
        step.Clock?.Add(start);
        float* output = activations.AttentionOutput.Reserve((long)rows * _output.Outputs);
        products.Multiply(_output, new ProductInput(attended, rows), output, step.Cancellation);
        products.Finish(step.Cancellation);
    }

    public override bool CanRecord(StepRecorder recorder, StepContext step)
    {
        foreach (SequenceChunk chunk in step.Chunks)
        {
            if (chunk.Cache.GetState<LayerCache>(_layer).OnBackend is null)
            {
                return false;
            }
        }

        return _config.AttentionSoftCap == 0 && _sinks is null && _rope is not null && recorder.Has(_query, _key, _value, _output);
    }

    public override void Record(StepRecorder recorder, StepContext step)
    {
        int rows = step.Rows;
        BackendBuffer queries = recorder.Reserve(rows * _query.Outputs, nameof(queries));
        BackendBuffer keys = recorder.Reserve(rows * _key.Outputs, nameof(keys));
        BackendBuffer values = recorder.Reserve(rows * _value.Outputs, nameof(values));
        BackendBuffer attended = recorder.Reserve(rows * _query.Outputs, nameof(attended));
        recorder.Multiply(_query, recorder.Input, queries);
        recorder.Multiply(_key, recorder.Input, keys);
        recorder.Multiply(_value, recorder.Input, values);
        var shape = new HeadShape(
            _config.HeadCount, _config.KeyValueHeadCount, _config.HeadSize, _rope!.Dimensions, _rope.IsInterleaved, _config.NormEpsilon,
            _config.AttentionScale);
        BackendBuffer? norms = _queryNorm is null ? null : recorder.Constant(_queryNorm, [.. _queryNorm, .. _keyNorm!]);
        foreach (SequenceChunk chunk in step.Chunks)
        {
            LayerCache cache = chunk.Cache.GetState<LayerCache>(_layer);
            BackendCache memory = cache.OnBackend!.Value;
            ReadOnlySpan<AttentionRow> seen = recorder.GetRows(chunk, cache.Slots);
            recorder.Backend.PrepareHeads(queries, keys, values, norms, recorder.GetAngles(_rope), memory, shape, seen);
            recorder.Backend.Attend(queries, memory, attended, shape, seen);
        }

        recorder.Multiply(_output, attended, recorder.Output);
    }
}
