namespace KQuant.Models.Calibration;

/// <summary>How many inputs the experts of a stack have seen.</summary>
public sealed record ExpertCoverage
{
    /// <summary>The name of the stack.</summary>
    public required string Name { get; init; }

    /// <summary>Inputs of each expert.</summary>
    public required IReadOnlyList<long> Counts { get; init; }

    /// <summary>Inputs of the expert with the fewest.</summary>
    public long Least => Counts.Min();

    /// <summary>Experts that saw nothing.</summary>
    public int Unseen => Counts.Count(count => count == 0);
}
