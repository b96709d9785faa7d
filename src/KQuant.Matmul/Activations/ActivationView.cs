using KQuant.Codecs;

namespace KQuant.Matmul.Activations;

/// <summary>
/// Rows of activations as signed bytes in -127..127, in natural order. A row is padded with zeros to whole units of 256 values, so that
/// kernels never see a partial unit of activations.
/// </summary>
internal unsafe struct ActivationView
{
    /// <summary>The codes; row r starts at <c>Codes + r * CodeStride</c>.</summary>
    public sbyte* Codes;

    /// <summary>Values from row to row, at least <c>256 * Units</c>.</summary>
    public nint CodeStride;

    /// <summary>The scales: 1 (Block256) or 8 (Block32) per unit.</summary>
    public float* Scales;

    /// <summary>The sums of codes: 16 (Block256, of 16 codes each) or 8 (Block32, of 32 codes each) per unit.</summary>
    public short* Sums;

    /// <summary>What the results of each row are multiplied by, see <see cref="HugeRows"/>.</summary>
    public float* Sizes;

    /// <summary>Units of 256 values per row; rows of scales and sums follow each other without gaps.</summary>
    public int Units;

    /// <summary>How values are grouped.</summary>
    public ActivationScheme Scheme;

    /// <summary>Scales per unit: 1 or 8.</summary>
    public readonly int ScalesPerUnit => Scheme == ActivationScheme.Block256 ? 1 : 8;

    /// <summary>Sums per unit: 16 or 8.</summary>
    public readonly int SumsPerUnit => Scheme == ActivationScheme.Block256 ? 16 : 8;

    /// <summary>The codes of a row.</summary>
    public readonly sbyte* RowCodes(nint row) => Codes + (row * CodeStride);

    /// <summary>The scales of a row.</summary>
    public readonly float* RowScales(nint row) => Scales + (row * Units * ScalesPerUnit);

    /// <summary>The sums of a row.</summary>
    public readonly short* RowSums(nint row) => Sums + (row * Units * SumsPerUnit);
}
