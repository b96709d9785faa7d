namespace KQuant.Matmul.Floats;

/// <summary>Some rows of factors times some rows of float weights: <c>y[m,k] (+)= sum over n of x[m,n] * w[n,k]</c>.</summary>
internal unsafe struct TransposedTask
{
    /// <summary>The first weight row, float32, readable up to a multiple of 16 columns.</summary>
    public float* Weights;

    /// <summary>Floats from weight row to weight row.</summary>
    public nint WeightStride;

    /// <summary>Weight rows to sum over: one block of the canonical order.</summary>
    public int WeightRows;

    /// <summary>Columns.</summary>
    public int Columns;

    /// <summary>Rows of factors.</summary>
    public float** Rows;

    /// <summary>How many there are.</summary>
    public int RowCount;

    /// <summary>The factor that meets the first weight row.</summary>
    public nint FirstWeightRow;

    /// <summary>The output row of each row of factors.</summary>
    public float** Outputs;

    /// <summary>The output that belongs to the first column.</summary>
    public nint FirstOutput;

    /// <summary>Whether the outputs hold the sums of earlier weight rows.</summary>
    public bool Accumulate;
}
