namespace KQuant.Codecs;

/// <summary>
/// The logical shape of a weight: <c>[Experts, Rows, Columns]</c>, row-major, the columns innermost. A plain matrix has one expert.
/// </summary>
public readonly record struct QuantShape
{
    /// <summary>Shape of a single matrix.</summary>
    /// <param name="rows">Rows (outputs).</param>
    /// <param name="columns">Weights per row (inputs).</param>
    public QuantShape(long rows, int columns)
        : this(1, rows, columns)
    {
    }

    private QuantShape(long experts, long rows, int columns)
    {
        Experts = experts;
        Rows = rows;
        Columns = columns;
    }

    /// <summary>Number of stacked matrices; 1 for a matrix.</summary>
    public long Experts { get; init; }

    /// <summary>Rows (outputs) of each matrix.</summary>
    public long Rows { get; init; }

    /// <summary>Weights per row (inputs); a multiple of the format's block size.</summary>
    public int Columns { get; init; }

    /// <summary>Rows of all experts together.</summary>
    public long TotalRows => checked(Experts * Rows);

    /// <summary>Weights of all experts together.</summary>
    public long TotalWeights => checked(Experts * Rows * Columns);

    /// <summary>Shape of matrices of one size that lie one behind the other, such as the experts of a layer.</summary>
    /// <param name="experts">Number of matrices.</param>
    /// <param name="rows">Rows (outputs) of each.</param>
    /// <param name="columns">Weights per row (inputs).</param>
    /// <returns>The shape.</returns>
    public static QuantShape Stack(long experts, long rows, int columns) => new(experts, rows, columns);

    /// <inheritdoc/>
    public override string ToString() => Experts == 1 ? $"[{Rows}, {Columns}]" : $"[{Experts}, {Rows}, {Columns}]";
}
