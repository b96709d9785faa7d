namespace KQuant.Matmul.Kernels;

/// <summary>The product of a tile of activation rows with panels side by side: what a micro-kernel gets.</summary>
internal unsafe struct TileTask
{
    /// <summary>Codes of the first panel, unit after unit: bytes in a panel, or columns.</summary>
    public byte* Codes;

    /// <summary>Bytes from unit to unit of codes.</summary>
    public nint UnitStride;

    /// <summary>Bytes from panel to panel of codes.</summary>
    public nint PanelStride;

    /// <summary>Factors, a unit of every panel before the next unit.</summary>
    public byte* Factors;

    /// <summary>Arranged activations.</summary>
    public byte* Activations;

    /// <summary>Units to multiply; the last may be partial.</summary>
    public int Units;

    /// <summary>Blocks in them.</summary>
    public int Blocks;

    /// <summary>What to fetch meanwhile.</summary>
    public WeightFetch Fetch;

    /// <summary>How many pieces of it.</summary>
    public int FetchPieces;

    /// <summary>Activation rows.</summary>
    public int Rows;

    /// <summary>For each activation row, where its outputs are; products are added to them.</summary>
    public float** Outputs;

    /// <summary>Which of the outputs belongs to the first weight row.</summary>
    public nint FirstOutput;
}
