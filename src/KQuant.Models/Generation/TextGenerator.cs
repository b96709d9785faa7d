using System.Runtime.InteropServices;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Generation;

/// <summary>One text while it is generated: what was chosen so far, and whether it goes on.</summary>
internal sealed class TextGenerator : IDisposable
{
    private readonly LanguageModel _model;
    private readonly GenerationOptions _options;
    private readonly Sampler _sampler;
    private readonly StopMatcher _stops;
    private readonly StreamingDecoder? _decoder;
    private readonly IReadOnlyList<int> _stopTokens;
    private readonly List<int> _history;
    private readonly float[] _logits;
    private readonly bool _ownsCache;
    private int _generated;

    public TextGenerator(LanguageModel model, IReadOnlyList<int> prompt, GenerationOptions options)
    {
        if (prompt.Count == 0)
        {
            Throw.NoTokens(nameof(prompt));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxTokens, 1);
        _model = model;
        _options = options;
        _sampler = new Sampler(options.Sampling);
        _stops = new StopMatcher(options.StopSequences);
        _decoder = model.HasTokenizer ? model.Tokenizer.CreateDecoder(!options.IncludeSpecialTokens) : null;
        _stopTokens = options.StopTokens ?? model.EndTokens;
        _history = [.. prompt];
        _logits = new float[model.Config.VocabularySize];
        _ownsCache = options.Cache is null;
        Cache = options.Cache ?? model.CreateCache(options.MaxCacheSize);
    }

    /// <summary>The cache; it lacks the token chosen last.</summary>
    public KeyValueCache Cache { get; }

    /// <summary>The token chosen last.</summary>
    public int Last => _history[^1];

    /// <summary>Whether nothing follows.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Room for the logits of the next token.</summary>
    public Span<float> Logits => _logits;

    /// <summary>Reads the prompt.</summary>
    public void Begin(CancellationToken cancellation) =>
        _model.Forward(CollectionsMarshal.AsSpan(_history), Cache, _logits, cancellation);

    /// <summary>Reads the token chosen last.</summary>
    public void Continue(CancellationToken cancellation)
    {
        int last = Last;
        _model.Forward(new ReadOnlySpan<int>(in last), Cache, _logits, cancellation);
    }

    /// <summary>Chooses the next token from <see cref="Logits"/>.</summary>
    public GeneratedToken Choose()
    {
        int token = _sampler.Sample(_logits, CollectionsMarshal.AsSpan(_history));
        _history.Add(token);
        _generated++;
        float logProbability = _sampler.LogProbabilities[token];
        FinishReason reason = FinishReason.None;
        string text = "";
        if (_stopTokens.Contains(token))
        {
            reason = FinishReason.EndOfText;
            text = _options.IncludeSpecialTokens ? _decoder?.Append(token) ?? "" : "";
        }
        else
        {
            text = _stops.Append(_decoder?.Append(token) ?? "", out bool isStopped);
            reason = isStopped ? FinishReason.StopSequence : reason;
        }

        if (reason == FinishReason.None && (_generated == _options.MaxTokens || Cache.Length == Cache.ContextLength))
        {
            reason = FinishReason.Length;
        }

        if (reason is FinishReason.EndOfText or FinishReason.Length)
        {
            string rest = _stops.Append(_decoder?.Flush() ?? "", out bool isStopped);
            text += isStopped ? rest : rest + _stops.Flush();
        }

        IsFinished = reason != FinishReason.None;
        return new GeneratedToken(token, text, logProbability, reason) { Top = FindTop() };
    }

    public void Dispose()
    {
        if (_ownsCache)
        {
            Cache.Dispose();
        }
    }

    private TokenProbability[] FindTop()
    {
        if (_options.TopLogProbabilities == 0)
        {
            return [];
        }

        ReadOnlySpan<float> logarithms = _sampler.LogProbabilities;
        var best = new TokenProbability[Math.Min(_options.TopLogProbabilities, logarithms.Length)];
        int count = 0;
        for (int token = 0; token < logarithms.Length; token++)
        {
            if (count == best.Length && logarithms[token] <= best[^1].LogProbability)
            {
                continue;
            }

            int at = count == best.Length ? count - 1 : count++;
            while (at > 0 && logarithms[token] > best[at - 1].LogProbability)
            {
                best[at] = best[at - 1];
                at--;
            }

            best[at] = new TokenProbability(token, logarithms[token]);
        }

        return best;
    }
}
