namespace KQuant.Codecs;

/// <summary>
/// The instruction set a kernel is written for. <see cref="Scalar"/> is the specification; every other tier gives the same result faster.
/// </summary>
/// <remarks>
/// The hundreds are the family: 0 for what runs on every machine, 1 for x86-64, 2 for ARM64. Within a family a better tier has a larger value;
/// values of different families say nothing about each other. No value is ever given to another tier, so there are gaps for those to come.
/// </remarks>
public enum KernelTier
{
    /// <summary>Plain C#: the definition of the format, and the fall-back everywhere.</summary>
    Scalar = 0,

    /// <summary>Portable 128-bit vectors: any machine with SSE or NEON.</summary>
    Portable = 10,

    /// <summary>x86-64 AVX2 and FMA.</summary>
    Avx2 = 100,

    /// <summary>AVX2 with the 256-bit byte dot product (<c>vpdpbusd</c>) and GFNI, which processors with the former have.</summary>
    AvxVnni = 110,

    /// <summary>AVX-512 F, BW, DQ, VL and VBMI.</summary>
    Avx512 = 120,

    /// <summary>ARM64 NEON.</summary>
    Neon = 200,

    /// <summary>ARM64 NEON with the dot-product instructions (<c>sdot</c>, <c>udot</c>).</summary>
    NeonDot = 210,
}
