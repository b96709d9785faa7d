namespace KQuant.Codecs.Conversion;

/// <summary>A point of the curve of size against predicted loss.</summary>
public readonly record struct BudgetPoint
{
    /// <summary>Bytes of the whole.</summary>
    public required long Bytes { get; init; }

    /// <summary>The predicted loss.</summary>
    public required double Loss { get; init; }
}
