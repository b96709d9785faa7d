using KQuant.Models.Transformers;

namespace KQuant.Models;

/// <summary>
/// What a model remembers of one text: the keys and values of its tokens. It grows with the text. Layers with a sliding window keep only
/// what they still see; with a size limit (<see cref="LanguageModel.CreateCache"/>) all layers keep the first tokens and the last ones.
/// </summary>
/// <remarks>Used by one call at a time. Belongs to the model that created it.</remarks>
public sealed class KeyValueCache : IDisposable
{
    private readonly LayerCache[] _layers;

    internal KeyValueCache(LanguageModel owner, LayerCache[] layers, int contextLength, int maxSize)
    {
        Owner = owner;
        _layers = layers;
        ContextLength = contextLength;
        MaxSize = maxSize;
    }

    /// <summary>Tokens that it holds: the position of the next one.</summary>
    public int Length { get; private set; }

    /// <summary>Tokens that it can hold.</summary>
    public int ContextLength { get; }

    /// <summary>Tokens that are seen at most, the first few among them; 0 when all are.</summary>
    public int MaxSize { get; }

    /// <summary>Bytes held.</summary>
    public long ByteCount => _layers.Sum(layer => layer.ByteCount);

    internal LanguageModel Owner { get; }

    internal bool IsDisposed { get; private set; }

    /// <summary>Forgets the last tokens.</summary>
    /// <param name="length">Tokens to keep.</param>
    /// <returns>
    /// False, and nothing has changed, when that cannot be done: a layer with a window has already overwritten what would be seen again.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative or beyond <see cref="Length"/>.</exception>
    public bool TryTruncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        if (length > 0)
        {
            foreach (LayerCache layer in _layers)
            {
                int overwritten = layer.RingSize == 0 ? 0 : Math.Max(layer.Keep, Length - layer.RingSize);
                if (overwritten > Math.Max(layer.Keep, length - (layer.Window - layer.Keep) + 1))
                {
                    return false;
                }
            }
        }

        Length = length;
        return true;
    }

    /// <summary>Forgets everything and keeps the memory.</summary>
    public void Clear() => Length = 0;

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        IsDisposed = true;
        foreach (LayerCache layer in _layers)
        {
            layer.Dispose();
        }
    }

    internal LayerCache GetLayer(int layer) => _layers[layer];

    internal void Reserve(int tokens)
    {
        foreach (LayerCache layer in _layers)
        {
            layer.Reserve(Length + tokens, ContextLength);
        }
    }

    internal void Advance(int tokens) => Length += tokens;
}
