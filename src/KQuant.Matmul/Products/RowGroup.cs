namespace KQuant.Matmul.Products;

/// <summary>Activation rows that meet the same matrix.</summary>
internal struct RowGroup
{
    /// <summary>Number of the matrix.</summary>
    public int Matrix;

    /// <summary>The first of its rows in the lists of the plan.</summary>
    public int First;

    /// <summary>How many rows it has.</summary>
    public int Count;
}

/// <summary>A piece of a product: a range of the outputs of a group.</summary>
internal struct Piece
{
    /// <summary>Number of the group.</summary>
    public int Group;

    /// <summary>The first weight row, or column of a transposed product.</summary>
    public int First;

    /// <summary>How many there are.</summary>
    public int Count;
}

/// <summary>An output row that equals another one.</summary>
internal unsafe struct RowCopy
{
    /// <summary>The row that was computed.</summary>
    public float* Source;

    /// <summary>The row that is like it.</summary>
    public float* Destination;
}
