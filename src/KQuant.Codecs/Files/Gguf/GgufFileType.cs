namespace KQuant.Codecs.Files;

/// <summary>
/// The value of <c>general.file_type</c>: what most weights of a file are; llama.cpp's <c>llama_ftype</c>. Informational.
/// </summary>
public enum GgufFileType : uint
{
    /// <summary>All float32.</summary>
    F32 = 0,

    /// <summary>Mostly binary16.</summary>
    F16 = 1,

    /// <summary>Mostly q4_0.</summary>
    Q4_0 = 2,

    /// <summary>Mostly q4_1.</summary>
    Q4_1 = 3,

    /// <summary>Mostly q8_0.</summary>
    Q8_0 = 7,

    /// <summary>Mostly q5_0.</summary>
    Q5_0 = 8,

    /// <summary>Mostly q5_1.</summary>
    Q5_1 = 9,

    /// <summary>Mostly q2_k.</summary>
    Q2_K = 10,

    /// <summary>Mostly q3_k, the small mix.</summary>
    Q3_K_S = 11,

    /// <summary>Mostly q3_k.</summary>
    Q3_K_M = 12,

    /// <summary>Mostly q3_k, the large mix.</summary>
    Q3_K_L = 13,

    /// <summary>Mostly q4_k, the small mix.</summary>
    Q4_K_S = 14,

    /// <summary>Mostly q4_k.</summary>
    Q4_K_M = 15,

    /// <summary>Mostly q5_k, the small mix.</summary>
    Q5_K_S = 16,

    /// <summary>Mostly q5_k.</summary>
    Q5_K_M = 17,

    /// <summary>Mostly q6_k.</summary>
    Q6_K = 18,

    /// <summary>Mostly q2_k, the small mix.</summary>
    Q2_K_S = 21,

    /// <summary>Mostly iq4_nl.</summary>
    IQ4_NL = 25,

    /// <summary>Mostly bfloat16.</summary>
    BF16 = 32,

    /// <summary>Mostly mxfp4: the experts, with q8_0 around them.</summary>
    MXFP4_MOE = 38,

    /// <summary>Mostly nvfp4.</summary>
    NVFP4 = 39,
}
