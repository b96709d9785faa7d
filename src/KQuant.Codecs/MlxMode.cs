namespace KQuant.Codecs;

/// <summary>The ways in which MLX quantizes weights; in checkpoints their names are in lower case.</summary>
public enum MlxMode
{
    /// <summary><c>w = code * scale + bias</c>, scale and bias in a float type, codes of 2, 3, 4, 5, 6 or 8 bits.</summary>
    Affine,

    /// <summary>4-bit floats (E2M1), a power of two for every 32.</summary>
    MxFp4,

    /// <summary>8-bit floats (E4M3), a power of two for every 32.</summary>
    MxFp8,

    /// <summary>4-bit floats (E2M1), an 8-bit float (E4M3) for every 16.</summary>
    NvFp4,
}
