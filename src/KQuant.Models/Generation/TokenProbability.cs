namespace KQuant.Models.Generation;

/// <summary>A token that could have come.</summary>
public readonly record struct TokenProbability
{
    /// <summary>Its id.</summary>
    public required int Id { get; init; }

    /// <summary>Natural logarithm of its probability.</summary>
    public required float LogProbability { get; init; }
}
