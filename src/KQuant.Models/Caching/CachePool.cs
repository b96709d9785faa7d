namespace KQuant.Models.Caching;

/// <summary>
/// Caches of conversations between calls. A call takes the one that has most in common with its prompt and gives it back when it has ended;
/// of those that lie here the least recent are freed first. What only begins like another conversation, such as with the same instructions,
/// gets a copy of the beginning while there is room for both.
/// </summary>
/// <param name="create">Makes an empty cache with room for so many tokens; 0 for all.</param>
/// <param name="capacity">How many are kept.</param>
/// <param name="maxBytes">Bytes that those that are kept hold at most.</param>
internal sealed class CachePool(Func<int, KeyValueCache> create, int capacity, long maxBytes = long.MaxValue) : IDisposable
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
        KeyValueCache? best;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            best = FindBest(prompt, maxSize, out int most);
            if (best is not null && most < best.Length / 2 && _idle.Count < capacity && best.TryFork(most, out KeyValueCache? fork))
            {
                best = fork;
            }
            else if (best is not null)
            {
                _idle.Remove(best);
            }
        }

        best ??= create(maxSize);
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
        lock (_gate)
        {
            _idle.Add(cache);
            while (_idle.Count > 0 && (_disposed || _idle.Count > capacity || _idle.Sum(idle => idle.ByteCount) > maxBytes))
            {
                _idle[0].Dispose();
                _idle.RemoveAt(0);
            }
        }
    }

    /// <summary>How much a cache that lies here has in common with a prompt.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="maxSize">Tokens that the cache remembers at most; 0 for all.</param>
    /// <returns>Tokens.</returns>
    public int FindCommon(ReadOnlySpan<int> prompt, int maxSize)
    {
        lock (_gate)
        {
            FindBest(prompt, maxSize, out int common);
            return common;
        }
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

    private KeyValueCache? FindBest(ReadOnlySpan<int> prompt, int maxSize, out int most)
    {
        KeyValueCache? best = null;
        most = 0;
        foreach (KeyValueCache cache in _idle)
        {
            int common = cache.Tokens.CommonPrefixLength(prompt);
            if (cache.MaxSize == maxSize && common > most)
            {
                (best, most) = (cache, common);
            }
        }

        return best;
    }
}
