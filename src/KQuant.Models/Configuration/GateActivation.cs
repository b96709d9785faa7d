namespace KQuant.Models;

/// <summary>The function that gates a feed-forward layer.</summary>
public enum GateActivation
{
    /// <summary><c>z / (1 + exp(-z))</c>.</summary>
    Silu = 0,

    /// <summary><c>z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 z^3)))</c>.</summary>
    GeluTanh,

    /// <summary>
    /// <see cref="GeluTanh"/> as llama.cpp computes it on processors: argument and result rounded to binary16 where the argument lies
    /// between -10 and 10.
    /// </summary>
    GeluTanhHalf,

    /// <summary>
    /// gpt-oss: <c>(u + 1) * g / (1 + exp(-1.702 g))</c> of the gate g, at most 7, and the other factor u, from -7 to 7.
    /// </summary>
    ClampedSwiglu,
}
