using KQuant.Models;
using KQuant.Models.Caching;
using KQuant.Models.Generation;

namespace KQuant.Server.Batching;

/// <summary>
/// Writes the texts of all requests in one batch, on a thread of its own. Texts come and go between steps; a step has the next token of each
/// and, beside them, as much of new prompts as there is room for. A prompt that begins like another's takes what was read of that.
/// </summary>
/// <remarks>
/// A text whose beginning is being read for another waits for that instead of reading it, too; once, so that nobody waits forever. Caches of
/// texts that have ended are kept for later ones, within bounds.
/// </remarks>
internal sealed class BatchEngine : IDisposable
{
    /// <summary>A common beginning of fewer tokens is read again: that costs less than a copy of the cache.</summary>
    private const int LeastShared = 16;

    private readonly LanguageModel _model;
    private readonly BatchLimits _limits;
    private readonly StepScheduler _scheduler;
    private readonly CachePool _caches;
    private readonly Lock _gate = new();
    private readonly List<BatchText> _waiting = [];
    private readonly Dictionary<TextGenerator, BatchText> _active = [];
    private readonly List<StepResult> _results = [];
    /// <summary>Never disposed: requests that end after the engine still set it.</summary>
    private readonly AutoResetEvent _wake = new(false);

    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private bool _isClosed;
    private bool _canShare = true;

    public BatchEngine(LanguageModel model, BatchLimits limits)
    {
        (_model, _limits) = (model, limits);
        _scheduler = new StepScheduler(model.Runner);
        _caches = new CachePool(model.CreateCache, 2 * limits.Texts, limits.CacheBytes);
        _stop.Token.Register(Wake);
        _thread = new Thread(Run) { IsBackground = true, Name = "kquant batch" };
        _thread.Start();
    }

    /// <summary>What has happened so far.</summary>
    public BatchCounters Counters { get; } = new();

    /// <summary>Whether no more texts are taken.</summary>
    public bool IsClosed => Volatile.Read(ref _isClosed);

    /// <summary>Takes texts into the batch, as soon as there is room.</summary>
    /// <param name="prompts">The texts.</param>
    /// <returns>Where their tokens come; to be disposed.</returns>
    /// <exception cref="ArgumentException">An option or a token is out of its range, or a prompt has no tokens.</exception>
    /// <exception cref="ContextLengthException">A prompt is longer than the context.</exception>
    /// <exception cref="BatchQueueFullException">Too many texts wait.</exception>
    /// <exception cref="BatchStoppedException">No more are taken.</exception>
    public BatchRequest Submit(params IReadOnlyList<BatchPrompt> prompts)
    {
        ArgumentOutOfRangeException.ThrowIfZero(prompts.Count, nameof(prompts));
        foreach (BatchPrompt prompt in prompts)
        {
            TextGenerator.Check(prompt.Tokens, prompt.Options);
            if (prompt.Tokens.Length > _model.ContextLength)
            {
                throw new ContextLengthException(prompt.Tokens.Length, _model.ContextLength);
            }
        }

        var request = new BatchRequest(this, prompts);
        lock (_gate)
        {
            if (_isClosed)
            {
                throw new BatchStoppedException();
            }

            if (_waiting.Count > 0 && _waiting.Count + prompts.Count > _limits.Waiting)
            {
                throw new BatchQueueFullException(_waiting.Count);
            }

            _waiting.AddRange(request.Texts);
            Counters.Waiting = _waiting.Count;
        }

        Wake();
        return request;
    }

    /// <summary>Something has changed: the thread looks before its next step.</summary>
    public void Wake() => _wake.Set();

    /// <summary>Takes no more texts, and ends those that are not finished after a time.</summary>
    public void Drain(TimeSpan time)
    {
        Close();
        _stop.CancelAfter(time);
    }

    public void Dispose()
    {
        Close();
        _stop.Cancel();
        _thread.Join();
        _caches.Dispose();
        _stop.Dispose();
    }

    private void Close()
    {
        lock (_gate)
        {
            _isClosed = true;
        }
    }

    private void Run()
    {
        while (!_stop.IsCancellationRequested)
        {
            DropUnwanted();
            AdmitWaiting();
            if (_active.Count == 0)
            {
                _wake.WaitOne();
            }
            else
            {
                TakeStep();
            }
        }

        FailAll(new BatchStoppedException());
    }

    private void DropUnwanted()
    {
        foreach (BatchText text in _active.Values.Where(text => text.IsUnwanted).ToArray())
        {
            _scheduler.Remove(text.Generator!);
            Release(text, null);
        }

        lock (_gate)
        {
            foreach (BatchText text in _waiting.Where(text => text.IsUnwanted).ToArray())
            {
                _waiting.Remove(text);
                text.Request.Leave(null);
            }

            Counters.Waiting = _waiting.Count;
        }
    }

    private void AdmitWaiting()
    {
        BatchText[] waiting;
        lock (_gate)
        {
            waiting = [.. _waiting];
        }

        foreach (BatchText text in waiting)
        {
            if (_active.Count == _limits.Texts)
            {
                break;
            }

            if (!WaitsForLeader(text))
            {
                lock (_gate)
                {
                    _waiting.Remove(text);
                    Counters.Waiting = _waiting.Count;
                }

                Admit(text);
            }
        }
    }

    /// <summary>Whether somebody is reading what a text begins with.</summary>
    private bool WaitsForLeader(BatchText text)
    {
        if (!_canShare)
        {
            return false;
        }

        int known = -1;
        foreach (BatchText other in _active.Values)
        {
            int common = CommonPrefix(other.Prompt, text);
            if (common < LeastShared || other.Generator!.Cache.Length >= common || (text.Leader is not null && text.Leader != other))
            {
                continue;
            }

            known = known < 0 ? _caches.FindCommon(text.Prompt, 0) : known;
            if (common - known >= LeastShared)
            {
                text.Leader = other;
                return true;
            }
        }

        return false;
    }

    private void Admit(BatchText text)
    {
        KeyValueCache? cache = null;
        try
        {
            cache = ShareActive(text);
            int known = cache?.Length ?? 0;
            cache ??= _caches.Take(text.Prompt, 0, out known);
            TextGenerator generator = _model.CreateText(text.Prompt[known..], text.Options with { Cache = cache });
            text.Begin(generator, known);
            _scheduler.Admit(generator);
            _active.Add(generator, text);
            Counters.Admit(_active.Count);
        }
        catch (Exception exception)
        {
            text.Generator?.Dispose();
            cache?.Dispose();
            text.Request.Leave(exception);
        }
    }

    /// <summary>A copy of what an active text has read, when that is more than idle caches have in common with a prompt.</summary>
    private KeyValueCache? ShareActive(BatchText text)
    {
        BatchText? best = null;
        int most = Math.Max(LeastShared - 1, _caches.FindCommon(text.Prompt, 0));
        foreach (BatchText other in _active.Values)
        {
            int common = CommonPrefix(other.Generator!.Cache.Tokens, text);
            if (common > most)
            {
                (best, most) = (other, common);
            }
        }

        KeyValueCache? fork = best?.Generator!.Cache.ForkInUse(most);

        // A window of attention has moved on; so it will for others.
        _canShare &= best is null || fork is not null;
        return fork;
    }

    /// <summary>What a prompt has in common with other tokens, but for its last one, which is always to be read.</summary>
    private static int CommonPrefix(ReadOnlySpan<int> tokens, BatchText text) => tokens.CommonPrefixLength(text.Prompt.AsSpan(0, text.Prompt.Length - 1));

    private void TakeStep()
    {
        _results.Clear();
        try
        {
            _scheduler.Advance(_results, _stop.Token);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            return;
        }
        catch (Exception exception)
        {
            FailActive(exception);
            return;
        }

        Counters.Advance();
        foreach (StepResult result in _results)
        {
            BatchText text = _active[result.Text];
            if (result.Token is { } token)
            {
                text.Add(token);
            }

            if (result.Text.IsFinished)
            {
                Release(text, result.Text.Failure);
            }
        }
    }

    private void Release(BatchText text, Exception? failure)
    {
        TextGenerator generator = text.Generator!;
        _active.Remove(generator);
        Counters.Active = _active.Count;
        generator.Dispose();
        if (failure is null)
        {
            _caches.Return(generator.Cache);
        }
        else
        {
            generator.Cache.Dispose();
        }

        text.Request.Leave(failure);
    }

    private void FailActive(Exception exception)
    {
        foreach (BatchText text in _active.Values.ToArray())
        {
            _scheduler.Remove(text.Generator!);
            Release(text, exception);
        }
    }

    private void FailAll(Exception exception)
    {
        Close();
        FailActive(exception);
        lock (_gate)
        {
            _waiting.ForEach(text => text.Request.Leave(exception));
            _waiting.Clear();
        }
    }
}
