namespace KQuant.Models.Products;

/// <summary>Rows that meet a weight, in memory that stays as it is until the product is finished.</summary>
/// <param name="values">[rows][inputs].</param>
/// <param name="rows">Rows.</param>
/// <param name="ids">Which matrices of a stack each row meets, [rows][per row]; null for the one matrix.</param>
/// <param name="idsPerRow">How many each.</param>
internal readonly unsafe struct ProductInput(float* values, int rows, int* ids = null, int idsPerRow = 1)
{
    public float* Values => values;

    public int Rows => rows;

    /// <summary>Rows of results.</summary>
    public int Results => checked(rows * idsPerRow);

    public int IdsPerRow => idsPerRow;

    public int* IdPointer => ids;

    /// <summary>Which matrices of a stack each row meets, [rows][per row]; empty for the one matrix.</summary>
    public ReadOnlySpan<int> Ids => ids == null ? default : new ReadOnlySpan<int>(ids, Results);

    /// <summary>The values of all rows.</summary>
    public ReadOnlySpan<float> Span(int inputs) => new(values, checked(rows * inputs));
}
