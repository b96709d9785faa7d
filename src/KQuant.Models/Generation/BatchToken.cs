namespace KQuant.Models.Generation;

/// <summary>A token of one of several texts.</summary>
public readonly record struct BatchToken
{
    /// <summary>The number of the text.</summary>
    public required int Text { get; init; }

    /// <summary>The token.</summary>
    public required GeneratedToken Token { get; init; }
}
