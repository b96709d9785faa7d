using KQuant.Metal;
using KQuant.Models;
using KQuant.Models.Transformers;

namespace KQuant.Cli.Benchmarks;

/// <summary>Times a model: prompts into an empty cache, and tokens that follow texts of some lengths one by one.</summary>
internal sealed class ModelBenchmark : IDisposable
{
    private readonly MetalBackend? _backend;
    private readonly LanguageModel _model;
    private readonly List<ModelCase> _prompts = [];
    private readonly List<ModelCase> _depths = [];

    /// <summary>Loads the model.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="options">How.</param>
    /// <param name="prompts">Lengths of prompts.</param>
    /// <param name="depths">Lengths of the texts that tokens follow.</param>
    /// <param name="tokens">Tokens that follow.</param>
    /// <param name="backend">The GPU of the options; null for none.</param>
    /// <param name="cancellation">Ends it early.</param>
    public ModelBenchmark(
        string path, ModelOptions options, int[] prompts, int[] depths, int tokens, MetalBackend? backend, CancellationToken cancellation)
    {
        _backend = backend;
        _model = LanguageModel.Load(path, options, cancellationToken: cancellation);
        int longest = Math.Max(prompts.Max(), depths.Max() + tokens);
        if (longest > _model.ContextLength)
        {
            _model.Dispose();
            throw new ContextLengthException(longest, _model.ContextLength);
        }

        var clock = new AttentionClock();
        _model.Runner.MeasureAttention(clock);
        int[] text = MakeText(_model, longest);
        _prompts.AddRange(prompts.Select(length => new ModelCase(_model, clock, text, 0, length, length, cancellation)));
        _depths.AddRange(depths.Select(depth => new ModelCase(_model, clock, text, depth, tokens, 1, cancellation)));
    }

    /// <summary>The model.</summary>
    public LanguageModel Model => _model;

    /// <summary>What is to be timed.</summary>
    public IEnumerable<Contender> Contenders => _prompts.Concat(_depths).Select(entry => entry.Contender);

    /// <summary>Tokens that stand for a text.</summary>
    public static int[] MakeText(LanguageModel model, int length)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(model.Config.VocabularySize))];
    }

    /// <summary>The speed, after the contest.</summary>
    /// <param name="first">How long the first token took.</param>
    public ModelSpeed GetSpeed(FirstTokenTime? first) => new(
        _model.Context.Threads,
        _backend?.Name ?? _model.Context.GetTier(_model.MainCodec).ToString(),
        first,
        [.. _prompts.Select(entry => new PromptSpeed(entry.Count, entry.TokensPerSecond, entry.AttentionShare))],
        [.. _depths.Select(entry => new DepthSpeed(entry.Depth, entry.TokensPerSecond, entry.AttentionShare))],
        CountWork());

    public void Dispose()
    {
        _prompts.ForEach(entry => entry.Dispose());
        _depths.ForEach(entry => entry.Dispose());
        _model.Dispose();
    }

    // Once more, for its counts: weights are on the device by now, and the first token after a prompt is like any other.
    private DeviceWork? CountWork()
    {
        if (_backend is null)
        {
            return null;
        }

        ModelCase first = _depths[0];
        first.Rewind();
        MetalCounters before = _backend.Counters;
        first.Run();
        MetalCounters after = _backend.Counters;
        double tokens = first.Count;
        return new DeviceWork(
            Math.Round((after.Waits - before.Waits) / tokens, 2),
            Math.Round((after.Dispatches - before.Dispatches) / tokens, 2),
            Math.Round((after.Buffers - before.Buffers) / tokens, 2));
    }
}
