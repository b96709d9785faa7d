using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using KQuant.Models.Tokenizers;
using KQuant.Models.Transformers;

namespace KQuant.Models.Generation;

/// <summary>
/// One text while it is generated: it asks for tokens to be read, takes the logits of what comes next, and says what was chosen and whether
/// it goes on.
/// </summary>
internal sealed class TextGenerator : IDisposable
{
    private readonly GenerationOptions _options;
    private readonly Sampler _sampler;
    private readonly StopMatcher _stops;
    private readonly StreamingDecoder? _decoder;
    private readonly IReadOnlyList<int> _stopTokens;
    private readonly List<int> _history;
    private readonly LogitsProcessor[] _processors;
    private readonly bool _ownsCache;
    private readonly TextTrace? _trace;
    private int _generated;

    /// <param name="cache">What came before; in use until the generator is disposed.</param>
    /// <param name="ownsCache">Whether it is disposed then.</param>
    /// <param name="prompt">The tokens that follow.</param>
    /// <param name="options">What to generate.</param>
    /// <param name="tokenizer">From tokens to text; null for none.</param>
    /// <param name="endTokens">The tokens that end a text, unless the options say others.</param>
    public TextGenerator(
        KeyValueCache cache, bool ownsCache, IReadOnlyList<int> prompt, GenerationOptions options, Tokenizer? tokenizer, IReadOnlyList<int> endTokens)
    {
        _options = options;
        _sampler = new Sampler(options.Sampling ?? SamplingOptions.Greedy);
        _stops = new StopMatcher(options.StopSequences);
        _decoder = tokenizer?.CreateDecoder(!options.IncludeSpecialTokens);
        _stopTokens = options.StopTokens ?? endTokens;
        _processors = [.. options.Processors.Select(processor => processor.Begin([.. cache.Tokens, .. prompt], _stopTokens))];
        _ownsCache = ownsCache;
        cache.Enter();
        Cache = cache;

        // What the cache holds belongs to the text, for penalties too.
        _history = [.. cache.Tokens, .. prompt];
        _trace = TextTrace.Begin((cache.Owner as ModelRunner)?.Name ?? "", prompt.Count, cache.Length);
    }

    /// <summary>The cache; it lacks <see cref="Pending"/>.</summary>
    public KeyValueCache Cache { get; }

    /// <summary>The tokens to be read next: the rest of the prompt, or the token chosen last.</summary>
    public ReadOnlySpan<int> Pending => CollectionsMarshal.AsSpan(_history)[Cache.Length..];

    /// <summary>Whether nothing follows.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Why it could not go on; null when nothing went wrong.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Looks at what a caller asks for, before anything is done.</summary>
    /// <param name="prompt">The tokens of a text.</param>
    /// <param name="options">What to generate; null for the defaults.</param>
    /// <returns>The options.</returns>
    /// <exception cref="ArgumentException">An option is out of its range, or there are no tokens.</exception>
    public static GenerationOptions Check([NotNull] IReadOnlyList<int>? prompt, GenerationOptions? options)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        options ??= new GenerationOptions();
        if (prompt.Count == 0)
        {
            throw new ArgumentException("The text has no tokens to start from.", nameof(prompt));
        }

        options.Check();
        return options;
    }

    /// <summary>A step for this text took its time.</summary>
    public void Measure(TimeSpan time) => _trace?.Add(time);

    /// <summary>Chooses the next token, when there is nothing <see cref="Pending"/>.</summary>
    /// <param name="logits">The logits of what comes next; changed.</param>
    public GeneratedToken Accept(Span<float> logits)
    {
        bool isComplete = false;
        foreach (LogitsProcessor processor in _processors)
        {
            processor.Process(CollectionsMarshal.AsSpan(_history), logits);
        }

        int token = _sampler.Sample(logits, CollectionsMarshal.AsSpan(_history));
        foreach (LogitsProcessor processor in _processors)
        {
            processor.Accept(token);
            isComplete |= processor.IsComplete;
        }

        _history.Add(token);
        _generated++;
        float logProbability = _sampler.LogProbabilities[token];
        FinishReason reason = FinishReason.None;
        string text = "";
        bool isStopped = false;
        bool isEnd = _stopTokens.Contains(token);
        if (!isEnd)
        {
            text = _stops.Append(_decoder?.Append(token) ?? "", out isStopped);
        }

        bool isFull = _generated == _options.MaxTokens || Cache.Length == Cache.ContextLength;
        if (!isStopped && (isEnd || isComplete || isFull))
        {
            reason = isEnd || isComplete ? FinishReason.EndOfText : FinishReason.Length;
            string rest = _stops.Append(_decoder?.Flush() ?? "", out isStopped);
            text += isStopped ? rest : rest + _stops.Flush();

            // What was held back comes before the token that ends the text.
            text += isEnd && !isStopped && _options.IncludeSpecialTokens ? _decoder?.Append(token) + _decoder?.Flush() : "";
        }

        reason = isStopped ? FinishReason.StopSequence : reason;

        IsFinished = reason != FinishReason.None;
        _trace?.Add(reason);
        return new GeneratedToken
        {
            Id = token,
            Text = text,
            LogProbability = logProbability,
            FinishReason = reason,
            StopSequence = isStopped ? _stops.Found : null,
            Top = FindTop(),
        };
    }

    /// <summary>It cannot go on.</summary>
    /// <param name="failure">Why.</param>
    public void Fail(Exception failure) => (Failure, IsFinished) = (failure, true);

    public void Dispose()
    {
        _trace?.End(Cache.ByteCount);
        Cache.Exit();
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
            if (float.IsNegativeInfinity(logarithms[token]) || (count == best.Length && logarithms[token] <= best[^1].LogProbability))
            {
                continue;
            }

            int at = count == best.Length ? count - 1 : count++;
            while (at > 0 && logarithms[token] > best[at - 1].LogProbability)
            {
                best[at] = best[at - 1];
                at--;
            }

            best[at] = new TokenProbability { Id = token, LogProbability = logarithms[token] };
        }

        // What a processor has excluded is none.
        return best[..count];
    }
}
