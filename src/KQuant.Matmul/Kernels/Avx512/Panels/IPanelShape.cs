namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>What a tile must know of a panel of K-quant weights, as constants.</summary>
internal interface IPanelShape
{
    /// <summary>Vectors of codes whose products are added up in 16 bits: as many as can never overflow.</summary>
    static abstract int Steps { get; }

    /// <summary>How many such sums have the same scale.</summary>
    static abstract int ChainsPerScale { get; }

    /// <summary>Integer scales in a unit: 8 or 16.</summary>
    static abstract int Scales { get; }

    /// <summary>Pairs of minima in a unit: 0, 4 or 8.</summary>
    static abstract int MinPairs { get; }

    /// <summary>
    /// Whether minima are what codes are too large by, times scales, and so belong to the integer product instead of having a factor of their own.
    /// </summary>
    static abstract bool MinsAreOffsets { get; }

    /// <summary>
    /// Whether codes are signed and activations biased by 128 to be unsigned, instead of the other way round. What the bias adds is
    /// the same for every activation row, so it is taken off where the 32-bit sums start.
    /// </summary>
    static abstract bool IsBiased { get; }
}

/// <summary>What a tile must know of a panel of weights with 32-wide blocks, as constants.</summary>
internal interface IFlatPanelShape
{
    /// <summary>Vectors of codes whose products are added up in 16 bits: 8, or 4 for codes of five bits.</summary>
    static abstract int Steps { get; }

    /// <summary>Whether there is a minimum beside the scale.</summary>
    static abstract bool HasMin { get; }
}
