namespace KQuant.Codecs;

/// <summary>
/// The codecs that GGML has too. The values are GGML type ids, so a format read from a GGUF file is a cast away.
/// </summary>
public enum QuantFormat
{
    /// <summary>IEEE 754 binary32, stored as is.</summary>
    F32 = 0,

    /// <summary>IEEE 754 binary16, stored as is.</summary>
    F16 = 1,

    /// <summary>32 weights in 18 bytes: <c>w = d * (q - 8)</c>.</summary>
    Q4_0 = 2,

    /// <summary>32 weights in 20 bytes: <c>w = d * q + m</c>.</summary>
    Q4_1 = 3,

    /// <summary>32 weights in 22 bytes: <c>w = d * (q - 16)</c>.</summary>
    Q5_0 = 6,

    /// <summary>32 weights in 24 bytes: <c>w = d * q + m</c>.</summary>
    Q5_1 = 7,

    /// <summary>32 weights in 34 bytes: <c>w = d * q</c>.</summary>
    Q8_0 = 8,

    /// <summary>256 weights in 84 bytes: 2-bit codes, a 4-bit scale and minimum for every 16.</summary>
    Q2_K = 10,

    /// <summary>256 weights in 110 bytes: 3-bit codes, a 6-bit scale for every 16.</summary>
    Q3_K = 11,

    /// <summary>256 weights in 144 bytes: 4-bit codes, a 6-bit scale and minimum for every 32.</summary>
    Q4_K = 12,

    /// <summary>256 weights in 176 bytes: 5-bit codes, a 6-bit scale and minimum for every 32.</summary>
    Q5_K = 13,

    /// <summary>256 weights in 210 bytes: 6-bit codes, an 8-bit scale for every 16.</summary>
    Q6_K = 14,

    /// <summary>32 weights in 18 bytes: <c>w = d * Values[q]</c>, sixteen values closer together near zero.</summary>
    IQ4_NL = 20,

    /// <summary>bfloat16 (the upper half of a binary32), stored as is.</summary>
    BF16 = 30,

    /// <summary>32 weights in 17 bytes: 4-bit floats and a power of two.</summary>
    MXFP4 = 39,

    /// <summary>64 weights in 36 bytes: 4-bit floats and an 8-bit float for every 16.</summary>
    NVFP4 = 40,
}
