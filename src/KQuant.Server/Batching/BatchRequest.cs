using System.Runtime.CompilerServices;
using System.Threading.Channels;
using KQuant.Models.Generation;

namespace KQuant.Server.Batching;

/// <summary>Texts that somebody waits for together. Whoever disposes it wants nothing more.</summary>
internal sealed class BatchRequest : IDisposable
{
    private readonly Channel<BatchToken> _tokens = Channel.CreateUnbounded<BatchToken>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    private readonly BatchEngine _engine;
    private int _open;

    public BatchRequest(BatchEngine engine, IReadOnlyList<BatchPrompt> prompts)
    {
        _engine = engine;
        Texts = [.. prompts.Select((prompt, i) => new BatchText(this, i, prompt))];
        _open = Texts.Count;
    }

    /// <summary>Its texts.</summary>
    public IReadOnlyList<BatchText> Texts { get; }

    /// <summary>The tokens of all texts as they come.</summary>
    /// <param name="patience">How long to wait before <paramref name="onIdle"/> is called, and again.</param>
    /// <param name="onIdle">Called while there is nothing; null for nothing.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    /// <exception cref="BatchStoppedException">The engine was stopped meanwhile.</exception>
    public async IAsyncEnumerable<BatchToken> ReadAsync(
        TimeSpan patience, Func<ValueTask>? onIdle, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            Task<bool> next = _tokens.Reader.WaitToReadAsync(cancellationToken).AsTask();
            while (onIdle is not null && await Task.WhenAny(next, Task.Delay(patience, cancellationToken)).ConfigureAwait(false) != next)
            {
                await onIdle().ConfigureAwait(false);
            }

            if (!await next.ConfigureAwait(false))
            {
                yield break;
            }

            while (_tokens.Reader.TryRead(out BatchToken token))
            {
                yield return token;
            }
        }
    }

    /// <summary>Nobody wants the rest of a text.</summary>
    public void End(int text)
    {
        Texts[text].IsUnwanted = true;
        _engine.Wake();
    }

    public void Dispose()
    {
        foreach (BatchText text in Texts)
        {
            text.IsUnwanted = true;
        }

        _engine.Wake();
    }

    /// <summary>A text has a token.</summary>
    internal void Write(int text, GeneratedToken token) => _tokens.Writer.TryWrite(new BatchToken { Text = text, Token = token });

    /// <summary>A text has left the batch.</summary>
    /// <param name="failure">Why it could not go on; null when it has ended. With the first failure the request has ended.</param>
    internal void Leave(Exception? failure)
    {
        if (failure is not null)
        {
            _tokens.Writer.TryComplete(failure);
            Dispose();
        }
        else if (--_open == 0)
        {
            _tokens.Writer.TryComplete();
        }
    }
}
