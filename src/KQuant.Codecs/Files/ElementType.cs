namespace KQuant.Codecs.Files;

/// <summary>
/// Element type of a tensor in a safetensors or NumPy file. The names are those that a safetensors header uses; only <see cref="F32"/>,
/// <see cref="F16"/> and <see cref="BF16"/> hold weights, the rest is listed and copied.
/// </summary>
public enum ElementType
{
    /// <summary>A boolean in a byte.</summary>
    BOOL,

    /// <summary>4-bit float, two in a byte.</summary>
    F4,

    /// <summary>6-bit float with 2 exponent bits, four in three bytes.</summary>
    F6_E2M3,

    /// <summary>6-bit float with 3 exponent bits, four in three bytes.</summary>
    F6_E3M2,

    /// <summary>Unsigned 8-bit integer; also the wire bytes of a quantized weight.</summary>
    U8,

    /// <summary>Signed 8-bit integer.</summary>
    I8,

    /// <summary>8-bit float with 5 exponent bits.</summary>
    F8_E5M2,

    /// <summary>8-bit float with 4 exponent bits.</summary>
    F8_E4M3,

    /// <summary>8-bit power of two.</summary>
    F8_E8M0,

    /// <summary>8-bit float with 4 exponent bits and one zero.</summary>
    F8_E4M3FNUZ,

    /// <summary>8-bit float with 5 exponent bits and one zero.</summary>
    F8_E5M2FNUZ,

    /// <summary>Signed 16-bit integer.</summary>
    I16,

    /// <summary>Unsigned 16-bit integer.</summary>
    U16,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>bfloat16.</summary>
    BF16,

    /// <summary>Signed 32-bit integer.</summary>
    I32,

    /// <summary>Unsigned 32-bit integer.</summary>
    U32,

    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>Complex number of two binary32.</summary>
    C64,

    /// <summary>IEEE 754 binary64.</summary>
    F64,

    /// <summary>Signed 64-bit integer.</summary>
    I64,

    /// <summary>Unsigned 64-bit integer.</summary>
    U64,
}
