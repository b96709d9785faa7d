namespace KQuant.Models.Evaluation;

/// <summary>How near a cache of keys and values is to what was stored.</summary>
public sealed record CacheQuality
{
    /// <summary>The mean cosine between keys and what they are decoded to.</summary>
    public required double KeyCosine { get; init; }

    /// <summary>The same of values.</summary>
    public required double ValueCosine { get; init; }

    /// <summary>The root mean square of the errors of products of keys with queries, in units of that of the products.</summary>
    public required double ProductError { get; init; }

    /// <summary>The mean of the errors of products, in the same units: a bias.</summary>
    public required double ProductBias { get; init; }

    /// <summary>The mean cosine between outputs of attention and those in float32.</summary>
    public required double OutputCosine { get; init; }
}
