namespace KQuant.Models;

/// <summary>How the cache of a layer stores.</summary>
/// <param name="Keys">How keys are stored.</param>
/// <param name="Values">How values are stored.</param>
public readonly record struct LayerCacheFormat(CacheFormat Keys, CacheFormat Values);
