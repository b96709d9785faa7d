namespace KQuant.Matmul.Kernels;

/// <summary>
/// One piece of a product: some consecutive rows of a weight times some rows of arranged activations. What a kernel gets; any thread may
/// run any piece.
/// </summary>
internal unsafe struct ProductTask
{
    /// <summary>Wire bytes of the first weight row; the first plane of them where a codec has several.</summary>
    public byte* Weights;

    /// <summary>Bytes from weight row to weight row.</summary>
    public nint WeightRowBytes;

    /// <summary>The second plane of the first weight row, if the codec has one.</summary>
    public byte* Scales;

    /// <summary>Bytes from row to row in the second plane.</summary>
    public nint ScaleRowBytes;

    /// <summary>The third plane of the first weight row, if the codec has one.</summary>
    public byte* Biases;

    /// <summary>Bytes from row to row in the third plane.</summary>
    public nint BiasRowBytes;

    /// <summary>Weight rows to multiply; a multiple of the kernel's granule except at the end of the matrix.</summary>
    public int WeightRows;

    /// <summary>Units of 256 weights per row; the last may be partial.</summary>
    public int Units;

    /// <summary>Blocks in the last unit: 1 for K-quants, 1 to 8 for 32-wide codecs.</summary>
    public int TailBlocks;

    /// <summary>The activations as <see cref="ProductKernel.Arrange"/> left them.</summary>
    public byte* Activations;

    /// <summary>Activation rows.</summary>
    public int Rows;

    /// <summary>For each activation row, where the output of the first weight row of this task goes.</summary>
    public float** Outputs;
}
