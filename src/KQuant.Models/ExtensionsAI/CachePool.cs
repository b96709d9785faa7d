namespace KQuant.Models;

/// <summary>
/// Caches of conversations between calls. A call takes the one that has most in common with its prompt and gives it back when it has ended;
/// of those that lie here the least recent are freed first. What only begins like another conversation, such as with the same instructions,
/// gets a copy of the beginning while there is room for both.
/// </summary>
/// <param name="model">Makes caches.</param>
/// <param name="capacity">How many are kept.</param>
internal sealed class CachePool(LanguageModel model, int capacity) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<KeyValueCache> _idle = [];
    private bool _disposed;

    /// <summary>A cache for a prompt, cut back to what it has in common with it.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="maxSize">Tokens to remember at most; 0 for all.</param>
    /// <param name="known">How many of its tokens the cache holds.</param>
    public KeyValueCache Take(ReadOnlySpan<int> prompt, int maxSize, out int known)
    {
        KeyValueCache? best = null;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            int most = 0;
            foreach (KeyValueCache cache in _idle)
            {
                int common = cache.Tokens.CommonPrefixLength(prompt);
                if (cache.MaxSize == maxSize && common > most)
                {
                    (best, most) = (cache, common);
                }
            }

            if (best is not null && most < best.Length / 2 && _idle.Count < capacity && best.TryFork(most, out KeyValueCache? fork))
            {
                best = fork;
            }
            else if (best is not null)
            {
                _idle.Remove(best);
            }
        }

        best ??= model.CreateCache(maxSize);
        try
        {
            known = best.Rewind(prompt);
            return best;
        }
        catch
        {
            best.Dispose();
            throw;
        }
    }

    /// <summary>A call has ended.</summary>
    public void Return(KeyValueCache cache)
    {
        KeyValueCache last = cache;
        lock (_gate)
        {
            if (!_disposed)
            {
                _idle.Add(cache);
                if (_idle.Count <= capacity)
                {
                    return;
                }

                last = _idle[0];
                _idle.RemoveAt(0);
            }
        }

        last.Dispose();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _idle.ForEach(cache => cache.Dispose());
            _idle.Clear();
        }
    }
}
