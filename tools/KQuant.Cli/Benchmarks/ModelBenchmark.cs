using KQuant.Metal;
using KQuant.Models;

namespace KQuant.Cli.Benchmarks;

/// <summary>Times a model: a prompt into an empty cache, and the tokens that follow it one by one.</summary>
internal sealed class ModelBenchmark : IDisposable
{
    private readonly MetalBackend? _backend;
    private readonly LanguageModel _model;
    private readonly KeyValueCache _cache;
    private readonly int[] _prompt;
    private readonly int[] _following;
    private readonly float[] _logits;
    private readonly Contender _reading;
    private readonly Contender _writing;

    /// <summary>Loads the model.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="options">How.</param>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="tokens">Tokens that follow.</param>
    /// <param name="backend">The GPU of the options; null for none.</param>
    /// <param name="cancellation">Ends it early.</param>
    public ModelBenchmark(
        string path, ModelOptions options, int promptTokens, int tokens, MetalBackend? backend, CancellationToken cancellation)
    {
        _backend = backend;
        _model = LanguageModel.Load(path, options, cancellationToken: cancellation);
        if (promptTokens + tokens > _model.ContextLength)
        {
            _model.Dispose();
            throw new ContextLengthException(promptTokens + tokens, _model.ContextLength);
        }

        _cache = _model.CreateCache();
        var random = new Random(1);
        int[] ids = [.. Enumerable.Range(0, promptTokens + tokens).Select(_ => random.Next(_model.Config.VocabularySize))];
        (_prompt, _following) = (ids[..promptTokens], ids[promptTokens..]);
        _logits = new float[_model.Config.VocabularySize];
        int threads = _model.Context.Threads;
        _reading = new Contender($"{threads} threads, prompt", times => Repeat(times, Read, cancellation));
        _writing = new Contender($"{threads} threads, tokens", times => Repeat(times, Write, cancellation));
    }

    /// <summary>The model.</summary>
    public LanguageModel Model => _model;

    /// <summary>What is to be timed.</summary>
    public IEnumerable<Contender> Contenders => [_reading, _writing];

    /// <summary>The speed, after the contest.</summary>
    public ModelSpeed Speed => new(
        _model.Context.Threads,
        _backend?.Name ?? _model.Context.GetTier(_model.MainCodec).ToString(),
        Math.Round(_prompt.Length / _reading.BestSeconds, 2),
        Math.Round(_following.Length / _writing.BestSeconds, 2),
        CountWork());

    public void Dispose()
    {
        _cache.Dispose();
        _model.Dispose();
    }

    // Once more, for its counts: weights are on the device by now, and the first token after a prompt is like any other.
    private DeviceWork? CountWork()
    {
        if (_backend is null)
        {
            return null;
        }

        Read(default);
        MetalCounters before = _backend.Counters;
        Write(default);
        MetalCounters after = _backend.Counters;
        double tokens = _following.Length;
        return new DeviceWork(
            Math.Round((after.Waits - before.Waits) / tokens, 2),
            Math.Round((after.Dispatches - before.Dispatches) / tokens, 2),
            Math.Round((after.Buffers - before.Buffers) / tokens, 2));
    }

    private static void Repeat(int times, Action<CancellationToken> work, CancellationToken cancellation)
    {
        for (int i = 0; i < times; i++)
        {
            work(cancellation);
        }
    }

    private void Read(CancellationToken cancellation)
    {
        _cache.Clear();
        _model.Forward(_prompt, _cache, _logits, cancellation);
    }

    private void Write(CancellationToken cancellation)
    {
        if (_cache.Length < _prompt.Length || !_cache.TryTruncate(_prompt.Length))
        {
            Read(cancellation);
        }

        foreach (int token in _following)
        {
            _model.Forward([token], _cache, _logits, cancellation);
        }
    }
}
