namespace KQuant.Models.Calibration;

/// <summary>How many inputs the experts of a stack have seen.</summary>
/// <param name="Name">The name of the stack.</param>
/// <param name="Counts">For each expert.</param>
public sealed record ExpertCoverage(string Name, IReadOnlyList<long> Counts)
{
    /// <summary>Inputs of the expert with the fewest.</summary>
    public long Least => Counts.Min();

    /// <summary>Experts that saw nothing.</summary>
    public int Unseen => Counts.Count(count => count == 0);
}
