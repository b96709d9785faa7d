namespace KQuant.Codecs;

/// <summary>
/// The logical shape of a weight: <c>[Experts, Rows, Columns]</c>, row-major, the columns innermost. A plain matrix has one expert.
/// </summary>
/// <param name="Experts">Number of stacked matrices; 1 for a matrix.</param>
/// <param name="Rows">Rows (outputs) of each matrix.</param>
/// <param name="Columns">Weights per row (inputs); a multiple of the format's block size.</param>
public readonly record struct QuantShape(long Experts, long Rows, int Columns)
{
    /// <summary>Shape of a single matrix.</summary>
    /// <param name="rows">Rows (outputs).</param>
    /// <param name="columns">Weights per row (inputs).</param>
    public QuantShape(long rows, int columns)
        : this(1, rows, columns)
    {
    }

    /// <summary>Rows of all experts together.</summary>
    public long TotalRows => checked(Experts * Rows);

    /// <summary>Weights of all experts together.</summary>
    public long TotalWeights => checked(Experts * Rows * Columns);

    /// <inheritdoc/>
    public override string ToString() => Experts == 1 ? $"[{Rows}, {Columns}]" : $"[{Experts}, {Rows}, {Columns}]";
}
