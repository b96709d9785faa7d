namespace KQuant.Codecs.Files;

/// <summary>A stored tensor that is not part of the model, and why.</summary>
public readonly record struct DroppedTensor
{
    /// <summary>Its stored name.</summary>
    public required string Name { get; init; }

    /// <summary>The reason, in a few words.</summary>
    public required string Reason { get; init; }
}
