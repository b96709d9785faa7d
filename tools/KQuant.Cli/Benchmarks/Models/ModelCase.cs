using System.Diagnostics;
using KQuant.Models;
using KQuant.Models.Transformers;

namespace KQuant.Cli.Benchmarks;

/// <summary>Some tokens behind others, again and again: a prompt at once, or what follows one by one.</summary>
internal sealed class ModelCase : IDisposable
{
    private readonly LanguageModel _model;
    private readonly AttentionClock _clock;
    private readonly KeyValueCache _cache;
    private readonly int[] _before;
    private readonly int[] _tokens;
    private readonly int _step;
    private readonly float[] _logits;
    private readonly CancellationToken _cancellation;
    private double _bestSeconds = double.PositiveInfinity;

    /// <param name="model">The model.</param>
    /// <param name="clock">Measures its attention.</param>
    /// <param name="text">Tokens to take.</param>
    /// <param name="depth">How many of them are in the cache already.</param>
    /// <param name="count">How many come then; they are what is timed.</param>
    /// <param name="step">How many of these at once.</param>
    /// <param name="cancellation">Ends it early.</param>
    public ModelCase(
        LanguageModel model, AttentionClock clock, int[] text, int depth, int count, int step, CancellationToken cancellation)
    {
        (_model, _clock, _step, _cancellation) = (model, clock, step, cancellation);
        (_before, _tokens) = (text[..depth], text[depth..(depth + count)]);
        _logits = new float[model.Config.VocabularySize];
        _cache = model.CreateCache();
        string name = step == 1 ? $"tokens at depth {depth}" : $"a prompt of {count}";
        Contender = new Contender($"{model.Context.Threads} threads, {name}", Measure);
    }

    /// <summary>What is to be timed.</summary>
    public Contender Contender { get; }

    /// <summary>Tokens in the cache before.</summary>
    public int Depth => _before.Length;

    /// <summary>Tokens that are timed.</summary>
    public int Count => _tokens.Length;

    /// <summary>The speed, after the contest.</summary>
    public double TokensPerSecond => Math.Round(Count / Contender.BestSeconds, 2);

    /// <summary>The share of attention in the time of the fastest turn; null if nothing of it was seen.</summary>
    public double? AttentionShare { get; private set; }

    /// <summary>Makes the cache what it is before the tokens.</summary>
    public void Rewind()
    {
        if (_cache.Length < Depth || !_cache.TryTruncate(Depth))
        {
            _cache.Clear();
            _model.Forward(_before, _cache, default, _cancellation);
        }
    }

    /// <summary>Does the work once.</summary>
    public void Run()
    {
        for (int start = 0; start < _tokens.Length; start += _step)
        {
            _model.Forward(_tokens.AsSpan(start, _step), _cache, _logits, _cancellation);
        }
    }

    public void Dispose() => _cache.Dispose();

    private TimeSpan Measure(int times)
    {
        TimeSpan all = default, attention = default;
        for (int i = 0; i < times; i++)
        {
            Rewind();
            TimeSpan before = _clock.Elapsed;
            long start = Stopwatch.GetTimestamp();
            Run();
            all += Stopwatch.GetElapsedTime(start);
            attention += _clock.Elapsed - before;
        }

        if (all.TotalSeconds / times < _bestSeconds)
        {
            _bestSeconds = all.TotalSeconds / times;
            AttentionShare = attention > TimeSpan.Zero ? Math.Round(attention / all, 4) : null;
        }

        return all;
    }
}
