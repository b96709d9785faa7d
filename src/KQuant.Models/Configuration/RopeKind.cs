namespace KQuant.Models;

/// <summary>How the frequencies of rotary position embeddings are stretched for longer contexts.</summary>
public enum RopeKind
{
    /// <summary>Not at all: <c>theta^(-2i/d)</c>.</summary>
    Default = 0,

    /// <summary>Divided by a factor.</summary>
    Linear,

    /// <summary>A larger theta once a text is longer than the model was trained for (NTK-aware scaling).</summary>
    Dynamic,

    /// <summary>Long wavelengths divided by a factor, short ones kept, a blend between them.</summary>
    Llama3,

    /// <summary>YaRN: a blend by dimension, and warmer attention.</summary>
    Yarn,

    /// <summary>A divisor for every frequency, one list for short texts and one for long ones.</summary>
    LongRope,

    /// <summary>A divisor for every frequency.</summary>
    Divisors,
}
