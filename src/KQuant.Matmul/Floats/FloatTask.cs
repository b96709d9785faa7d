namespace KQuant.Matmul.Floats;

/// <summary>Some rows of float weights times some rows of activations: <c>y[m,n] (+)= sum over k of w[n,k] * x[m,k]</c>.</summary>
internal unsafe struct FloatTask
{
    /// <summary>The first weight row, in the format of the kernel.</summary>
    public byte* Weights;

    /// <summary>Bytes from weight row to weight row.</summary>
    public nint WeightRowBytes;

    /// <summary>Weight rows.</summary>
    public int WeightRows;

    /// <summary>Columns, a multiple of 16.</summary>
    public int Columns;

    /// <summary>Activation rows, zeros up to a multiple of 16 columns.</summary>
    public float** Rows;

    /// <summary>How many there are.</summary>
    public int RowCount;

    /// <summary>The column of the activations that meets the first one of the weights; the start of a block of the canonical order.</summary>
    public nint FirstColumn;

    /// <summary>The output row of each activation row.</summary>
    public float** Outputs;

    /// <summary>The output that belongs to the first weight row.</summary>
    public nint FirstOutput;

    /// <summary>
    /// Bytes that come next and are still in memory: those of row r from <c>Ahead + r * AheadRowBytes</c> on, <see cref="AheadStep"/> for every
    /// sixteen columns. They are fetched into the cache while the first activation rows are multiplied. Null for none.
    /// </summary>
    public byte* Ahead;

    /// <summary>Bytes from row to row of them.</summary>
    public nint AheadRowBytes;

    /// <summary>Bytes of them that belong to sixteen columns.</summary>
    public nint AheadStep;

    /// <summary>Whether the outputs hold the sums of earlier columns.</summary>
    public bool Accumulate;
}
