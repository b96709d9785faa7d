using KQuant.Models;

namespace KQuant.Server.Batching;

/// <summary>Embeds texts beside the batch, one after another, so that all of them together need the memory of one.</summary>
/// <param name="model">What embeds.</param>
/// <param name="mostWaiting">Requests that wait at most.</param>
internal sealed class EmbeddingQueue(LanguageModel model, int mostWaiting) : IDisposable
{
    /// <summary>Never disposed, nor is the other: requests may still leave after the host has stopped.</summary>
    private readonly SemaphoreSlim _turn = new(1);

    private readonly CancellationTokenSource _stop = new();
    private KeyValueCache? _cache;
    private int _requests;

    /// <summary>Embeds texts; other requests have their turns between them.</summary>
    /// <param name="texts">The tokens of each text.</param>
    /// <param name="dimensions">How many of the model's dimensions.</param>
    /// <param name="cancellationToken">Nobody wants them any more.</param>
    /// <returns>A vector of length 1 for each text.</returns>
    /// <exception cref="BatchQueueFullException">Too many requests wait.</exception>
    /// <exception cref="BatchStoppedException">No more are embedded.</exception>
    public async Task<float[][]> EmbedAsync(IReadOnlyList<int[]> texts, int dimensions, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stop.Token);
        try
        {
            if (Interlocked.Increment(ref _requests) > mostWaiting + 1)
            {
                throw new BatchQueueFullException(mostWaiting);
            }

            var vectors = new float[texts.Count][];
            for (int i = 0; i < vectors.Length; i++)
            {
                vectors[i] = await EmbedAsync(texts[i], dimensions, either.Token).ConfigureAwait(false);
            }

            return vectors;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new BatchStoppedException();
        }
        finally
        {
            Interlocked.Decrement(ref _requests);
        }
    }

    /// <summary>Ends what is being embedded; nothing more is.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _turn.Wait();
        _cache?.Dispose();
    }

    private async Task<float[]> EmbedAsync(int[] tokens, int dimensions, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            _cache ??= model.CreateCache();
            return await Task.Run(() => TextEmbedder.Embed(model, tokens, dimensions, _cache, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            // Nobody else waits: the memory is not kept for who may come.
            if (Volatile.Read(ref _requests) == 1)
            {
                Interlocked.Exchange(ref _cache, null)?.Dispose();
            }

            _turn.Release();
        }
    }
}
