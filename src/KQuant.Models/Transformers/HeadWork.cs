using KQuant.Models.Caching;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>
/// What happens to the queries, keys and values of a token before attention: norms of heads, rotation, and storing in the cache of its text.
/// </summary>
internal sealed unsafe class HeadWork(ModelConfig config) : RowWork
{
    private readonly int _queryWidth = config.HeadCount * config.HeadSize;
    private readonly int _keyWidth = config.KeyValueHeadCount * config.HeadSize;
    private float* _queries;
    private float* _keys;
    private float* _values;
    private float[]? _queryNorm;
    private float[]? _keyNorm;
    private RotaryEmbedding? _rope;
    private RowTarget[] _targets = [];
    private int _layer;

    public void Run(
        int layer,
        float* queries,
        float* keys,
        float* values,
        float[]? queryNorm,
        float[]? keyNorm,
        RotaryEmbedding? rope,
        StepContext step)
    {
        _queries = queries;
        _keys = keys;
        _values = values;
        _queryNorm = queryNorm;
        _keyNorm = keyNorm;
        _rope = rope;
        _targets = step.Targets;
        _layer = layer;
        Run(step.Rows, _queryWidth + (4 * _keyWidth), step.Matmul, step.Cancellation);
    }

    protected override void RunRow(int row)
    {
        Prepare(row, _queries + ((long)row * _queryWidth), config.HeadCount, _queryNorm);
        float* keys = _keys + ((long)row * _keyWidth);
        Prepare(row, keys, config.KeyValueHeadCount, _keyNorm);
        float* values = _values + ((long)row * _keyWidth);
        LayerCache cache = _targets[row].Cache.GetState<LayerCache>(_layer);
        int slot = cache.Slots.GetSlot(_targets[row].Position);
        for (int head = 0; head < config.KeyValueHeadCount; head++)
        {
            cache.Keys.Store(head, slot, keys + (head * config.HeadSize));
            cache.Values.Store(head, slot, values + (head * config.HeadSize));
        }
    }

    private void Prepare(int row, float* heads, int count, float[]? norm)
    {
        for (int head = 0; head < count; head++)
        {
            float* values = heads + (head * config.HeadSize);
            if (norm is not null)
            {
                var span = new Span<float>(values, config.HeadSize);
                NormWork.Normalize(span, norm, config.NormEpsilon, span);
            }

            _rope?.Rotate(row, values);
        }
    }
}
