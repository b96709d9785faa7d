using System.Diagnostics.CodeAnalysis;
using KQuant.Models.Caching;

namespace KQuant.Models;

/// <summary>
/// What a model remembers of one text: its tokens, and what every layer keeps of them, mostly keys and values. It grows with the text.
/// Layers with a sliding window keep only what they still see; with a size limit (<see cref="LanguageModel.CreateCache(int)"/>) all layers keep
/// the first tokens and the last ones.
/// </summary>
/// <remarks>
/// Used by one call at a time, for a generation from its first token to its last; a second one throws
/// <see cref="InvalidOperationException"/>. Belongs to the model that created it.
/// </remarks>
public sealed partial class KeyValueCache : IDisposable
{
    private const int Used = 1;
    private const int Disposed = 2;

    private readonly LayerState[] _layers;
    private readonly Func<byte[]> _fingerprint;
    private int[] _tokens = [];
    private int _state;

    internal KeyValueCache(object owner, Func<byte[]> fingerprint, LayerState[] layers, int contextLength, int maxSize)
    {
        Owner = owner;
        _fingerprint = fingerprint;
        _layers = layers;
        ContextLength = contextLength;
        MaxSize = maxSize;
    }

    /// <summary>Tokens that it holds: the position of the next one.</summary>
    public int Length { get; private set; }

    /// <summary>The tokens that it holds, also those whose keys and values a limited cache has forgotten. Valid until the text goes on.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    /// <summary>Tokens that it can hold.</summary>
    public int ContextLength { get; }

    /// <summary>Tokens that are seen at most, the first few among them; 0 when all are.</summary>
    public int MaxSize { get; }

    /// <summary>Bytes held, the ids of the tokens apart.</summary>
    public long ByteCount => _layers.Sum(layer => layer.ByteCount);

    /// <summary>What computes with it.</summary>
    internal object Owner { get; }

    /// <summary>How its layers store, a line for each.</summary>
    internal string Layout => string.Join('\n', _layers.Select(layer => layer.Layout));

    internal bool IsDisposed => (Volatile.Read(ref _state) & Disposed) != 0;

    /// <summary>Forgets the last tokens.</summary>
    /// <param name="length">Tokens to keep.</param>
    /// <returns>
    /// False, and nothing has changed, when that cannot be done: a layer with a window has already overwritten what would be seen again.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative or beyond <see cref="Length"/>.</exception>
    /// <exception cref="InvalidOperationException">A call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public bool TryTruncate(int length)
    {
        Enter();
        try
        {
            if (!CanTruncate(length))
            {
                return false;
            }

            foreach (LayerState layer in _layers)
            {
                layer.Truncate(length);
            }

            Length = length;
            return true;
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Forgets everything and keeps the memory.</summary>
    /// <exception cref="InvalidOperationException">A call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public void Clear() => TryTruncate(0);

    /// <summary>Makes a cache with the same content, which goes on by itself: texts that begin alike share the reading of their beginning.</summary>
    /// <returns>The cache; dispose it to free its memory.</returns>
    /// <exception cref="InvalidOperationException">A call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    /// <example>
    /// <code>
    /// model.Forward(model.Tokenizer.Encode("A long prompt"), cache, logits);
    /// using KeyValueCache other = cache.Fork();                          // two texts that begin alike, read once
    /// cache.TryTruncate(2);                                              // back to its first two tokens
    /// </code>
    /// </example>
    public KeyValueCache Fork()
    {
        Enter();
        try
        {
            return Fork(Length);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Makes a cache with the first tokens of this one.</summary>
    /// <param name="length">Tokens to take.</param>
    /// <param name="fork">The cache; dispose it to free its memory.</param>
    /// <returns>False when that cannot be done, as for <see cref="TryTruncate"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative or beyond <see cref="Length"/>.</exception>
    /// <exception cref="InvalidOperationException">A call is using the cache.</exception>
    /// <exception cref="ObjectDisposedException">The cache was disposed.</exception>
    public bool TryFork(int length, [NotNullWhen(true)] out KeyValueCache? fork)
    {
        Enter();
        try
        {
            fork = CanTruncate(length) ? Fork(length) : null;
            return fork is not null;
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>As <see cref="TryFork"/>, for who is using the cache, between two steps.</summary>
    internal KeyValueCache? ForkInUse(int length) => CanTruncate(length) ? Fork(length) : null;

    /// <summary>Frees the memory, once a call that is using it has ended.</summary>
    public void Dispose()
    {
        if (Interlocked.Or(ref _state, Disposed) == 0)
        {
            Free();
        }
    }

    /// <summary>Begins a use of the cache.</summary>
    internal void Enter()
    {
        int before = Interlocked.CompareExchange(ref _state, Used, 0);
        ObjectDisposedException.ThrowIf((before & Disposed) != 0, this);
        if (before != 0)
        {
            throw new InvalidOperationException("The cache is in use by another call; a text has one at a time.");
        }
    }

    /// <summary>Ends it.</summary>
    internal void Exit()
    {
        if ((Interlocked.And(ref _state, ~Used) & Disposed) != 0)
        {
            Free();
        }
    }

    /// <summary>What a layer remembers.</summary>
    internal T GetState<T>(int layer)
        where T : LayerState => (T)_layers[layer];

    /// <summary>Makes room for tokens that a step adds.</summary>
    internal void Prepare(int added)
    {
        foreach (LayerState layer in _layers)
        {
            layer.Prepare(Length, added, ContextLength);
        }

        if (_tokens.Length < Length + added)
        {
            // Room for twice as many, so that a text that grows is copied seldom.
            Array.Resize(ref _tokens, Math.Max(Length + added, Math.Max(256, 2 * _tokens.Length)));
        }
    }

    /// <summary>The step is complete.</summary>
    internal void Advance(ReadOnlySpan<int> tokens)
    {
        tokens.CopyTo(_tokens.AsSpan(Length));
        Length += tokens.Length;
        foreach (LayerState layer in _layers)
        {
            layer.Advance(Length);
        }
    }

    private bool CanTruncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        foreach (LayerState layer in _layers)
        {
            if (!layer.CanTruncate(length))
            {
                return false;
            }
        }

        return true;
    }

    private KeyValueCache Fork(int length)
    {
        var layers = new LayerState[_layers.Length];
        try
        {
            for (int layer = 0; layer < layers.Length; layer++)
            {
                layers[layer] = _layers[layer].Fork(length);
            }
        }
        catch
        {
            Array.ForEach(layers, layer => layer?.Dispose());
            throw;
        }

        return new KeyValueCache(Owner, _fingerprint, layers, ContextLength, MaxSize) { _tokens = _tokens[..length], Length = length };
    }

    private void Free()
    {
        foreach (LayerState layer in _layers)
        {
            layer.Dispose();
        }
    }
}
