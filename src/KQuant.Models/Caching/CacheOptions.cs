namespace KQuant.Models;

/// <summary>How the caches of a model store keys and values.</summary>
public sealed record CacheOptions
{
    /// <summary>How keys are stored.</summary>
    public CacheFormat Keys { get; init; } = CacheFormat.F32;

    /// <summary>How values are stored.</summary>
    public CacheFormat Values { get; init; } = CacheFormat.F32;

    /// <summary>Layers, by their numbers from 0 on, that differ from the others.</summary>
    public IReadOnlyDictionary<int, LayerCacheFormat> Layers { get; init; } = new Dictionary<int, LayerCacheFormat>();

    /// <summary>One format for everything.</summary>
    /// <param name="format">The format.</param>
    /// <returns>The options.</returns>
    public static CacheOptions Uniform(CacheFormat format)
    {
        ArgumentNullException.ThrowIfNull(format);
        return new CacheOptions { Keys = format, Values = format };
    }

    /// <summary>How a layer stores.</summary>
    /// <param name="layer">Its number.</param>
    /// <returns>The formats of its keys and values.</returns>
    public LayerCacheFormat GetLayer(int layer) =>
        Layers.TryGetValue(layer, out LayerCacheFormat format) ? format : new LayerCacheFormat(Keys, Values);
}
