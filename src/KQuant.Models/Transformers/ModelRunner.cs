using System.Diagnostics;
using KQuant.Models.Diagnostics;
using KQuant.Models.Products;

namespace KQuant.Models.Transformers;

/// <summary>
/// Takes steps with a model, one at a time, in the order in which they are asked for. A prompt is several steps, so that nobody waits for the
/// whole of another's.
/// </summary>
/// <param name="owner">Whose it is, for messages.</param>
/// <param name="name">What the model is called.</param>
/// <param name="fingerprint">Tells the model from others.</param>
/// <param name="transformer">The model; disposed with this.</param>
/// <param name="config">What it computes.</param>
/// <param name="contextLength">Tokens that a text may have.</param>
/// <param name="chunkSize">Rows of a step at most.</param>
/// <param name="cacheOptions">How caches store.</param>
internal sealed class ModelRunner(
    object owner, string name, Func<byte[]> fingerprint, Transformer transformer, ModelConfig config, int contextLength, int chunkSize, CacheOptions cacheOptions) : IDisposable
{
    private readonly TurnQueue _turns = new();
    private readonly ModelStep _step = new();
    private bool _disposed;

    public ModelConfig Config => config;

    /// <summary>What the model is called.</summary>
    public string Name => name;

    /// <summary>Everything that the model multiplies with.</summary>
    public IReadOnlyList<ModelWeight> Weights => transformer.Weights;

    /// <summary>Rows of a step at most.</summary>
    public int ChunkSize => chunkSize;

    /// <summary>Calls that wait for their turn.</summary>
    public int Waiting => _turns.Waiting;

    /// <summary>An empty cache; <paramref name="maxSize"/> tokens of it are remembered, or all with 0.</summary>
    public KeyValueCache CreateCache(int maxSize, CacheOptions? options = null)
    {
        ThrowIfDisposed();
        return new KeyValueCache(
            this, fingerprint, transformer.CreateStates(options ?? cacheOptions, maxSize, chunkSize), maxSize > 0 ? int.MaxValue : contextLength, maxSize);
    }

    /// <summary>Makes sure that tokens can follow what a cache holds.</summary>
    public void Check(ReadOnlySpan<int> tokens, KeyValueCache cache)
    {
        CheckTokens(tokens);
        CheckCache(cache, tokens.Length);
    }

    /// <summary>Takes a step. The caches go on when it is complete; whoever calls has them in use.</summary>
    /// <param name="step">The chunks, no more rows than <see cref="ChunkSize"/>, all checked.</param>
    /// <param name="logits">[outputs][vocabulary].</param>
    /// <param name="cancellation">Ends it early, also while it waits; the caches are as before then.</param>
    public void Run(ModelStep step, Span<float> logits, CancellationToken cancellation)
    {
        Take(cancellation);
        try
        {
            RunNow(step, logits, default, cancellation);
        }
        finally
        {
            _turns.Pass();
        }
    }

    /// <summary>Continues a text, a step for each chunk.</summary>
    /// <param name="tokens">Its next tokens.</param>
    /// <param name="cache">What came before.</param>
    /// <param name="outputs">For which tokens results are wanted.</param>
    /// <param name="logits">[outputs][vocabulary]; empty for none.</param>
    /// <param name="hidden">[outputs][hidden]; empty for none.</param>
    /// <param name="cancellation">Ends it early; the cache then holds the chunks that were done.</param>
    public void Read(
        ReadOnlySpan<int> tokens, KeyValueCache cache, StepOutputs outputs, Span<float> logits, Span<float> hidden, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(cache);
        cache.Enter();
        try
        {
            Check(tokens, cache);
            for (int start = 0; start < tokens.Length; start += chunkSize)
            {
                int count = Math.Min(chunkSize, tokens.Length - start);
                bool isLast = start + count == tokens.Length;
                Take(cancellation);
                try
                {
                    _step.Clear();
                    _step.Add(cache, tokens.Slice(start, count), outputs == StepOutputs.Last && !isLast ? StepOutputs.None : outputs);
                    RunNow(_step, Part(logits, config.VocabularySize), Part(hidden, config.HiddenSize), cancellation);
                }
                finally
                {
                    _turns.Pass();
                }

                Telemetry.Count(name, "other", count);

                Span<float> Part(Span<float> all, int width) =>
                    all.IsEmpty || outputs != StepOutputs.All ? all : all.Slice(start * width, count * width);
            }
        }
        finally
        {
            cache.Exit();
        }
    }

    /// <summary>Continues several texts by one token each.</summary>
    public void ReadOneOfEach(
        ReadOnlySpan<int> tokens, IReadOnlyList<KeyValueCache> caches, Span<float> logits, CancellationToken cancellation)
    {
        CheckTokens(tokens);
        int entered = 0;
        try
        {
            for (; entered < caches.Count; entered++)
            {
                ArgumentNullException.ThrowIfNull(caches[entered], nameof(caches));
                caches[entered].Enter();
            }

            foreach (KeyValueCache cache in caches)
            {
                CheckCache(cache, 1);
            }

            Take(cancellation);
            try
            {
                _step.Clear();
                for (int i = 0; i < caches.Count; i++)
                {
                    _step.Add(caches[i], tokens.Slice(i, 1), StepOutputs.Last);
                }

                RunNow(_step, logits, default, cancellation);
            }
            finally
            {
                _turns.Pass();
            }

            Telemetry.Count(name, "other", caches.Count);
        }
        finally
        {
            for (int i = 0; i < entered; i++)
            {
                caches[i].Exit();
            }
        }
    }

    /// <summary>Puts something around all products from now on.</summary>
    /// <param name="wrap">Makes it from what computes them now.</param>
    public void Decorate(Func<IModelProducts, IModelProducts> wrap) => InTurn(() => transformer.Products = wrap(transformer.Products));

    /// <summary>Keeps what each layer computes in a set of its own; null ends that.</summary>
    /// <param name="activations">A set for each layer.</param>
    public void KeepActivations(IReadOnlyList<LayerActivations>? activations) => InTurn(() => transformer.Activations = activations);

    /// <summary>Measures attention from now on; null ends that.</summary>
    /// <param name="clock">Adds up the time; to be read between steps.</param>
    public void MeasureAttention(AttentionClock? clock) => InTurn(() => transformer.Clock = clock);

    /// <summary>Frees the memory, once the step that is running has ended; later ones throw.</summary>
    public void Dispose()
    {
        _turns.Take(CancellationToken.None);
        try
        {
            if (!_disposed)
            {
                _disposed = true;
                transformer.Dispose();
            }
        }
        finally
        {
            _turns.Pass();
        }
    }

    private void InTurn(Action action)
    {
        Take(CancellationToken.None);
        try
        {
            action();
        }
        finally
        {
            _turns.Pass();
        }
    }

    private void Take(CancellationToken cancellation)
    {
        if (Telemetry.QueueTime.Enabled)
        {
            long start = Stopwatch.GetTimestamp();
            _turns.Take(cancellation);
            Telemetry.QueueTime.Record(Stopwatch.GetElapsedTime(start).TotalSeconds, Telemetry.Tag(Telemetry.ModelTag, name));
        }
        else
        {
            _turns.Take(cancellation);
        }

        if (_disposed)
        {
            _turns.Pass();
            ThrowIfDisposed();
        }
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), owner);

    private void RunNow(ModelStep step, Span<float> logits, Span<float> hidden, CancellationToken cancellation)
    {
        transformer.Forward(step, logits, hidden, cancellation);
        foreach (SequenceChunk chunk in step.Chunks)
        {
            chunk.Cache.Advance(step.Tokens.Slice(chunk.FirstRow, chunk.Count));
        }
    }

    private void CheckTokens(ReadOnlySpan<int> tokens)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            if (tokens[i] < 0 || tokens[i] >= config.VocabularySize)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(tokens), $"Token {i} is {tokens[i]}; the vocabulary has {config.VocabularySize} tokens.");
            }
        }
    }

    private void CheckCache(KeyValueCache cache, int tokens)
    {
        ObjectDisposedException.ThrowIf(cache.IsDisposed, cache);
        if (!ReferenceEquals(cache.Owner, this))
        {
            throw new ArgumentException("The cache belongs to another model.", nameof(cache));
        }

        if ((long)cache.Length + tokens > cache.ContextLength)
        {
            throw new ContextLengthException((long)cache.Length + tokens, cache.ContextLength);
        }
    }
}
