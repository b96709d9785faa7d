using System.Collections.Immutable;

namespace KQuant.Models;

/// <summary>Rotary position embeddings of some layers of a model.</summary>
public sealed record RopeConfig
{
    /// <summary>How frequencies are stretched.</summary>
    public RopeKind Kind { get; init; }

    /// <summary>The base of the frequencies.</summary>
    public float Theta { get; init; } = 10_000;

    /// <summary>Values of a head that are rotated; the others stay.</summary>
    public required int Dimensions { get; init; }

    /// <summary>How much longer contexts become.</summary>
    public float Factor { get; init; } = 1;

    /// <summary>Tokens that the model was trained for before it was stretched.</summary>
    public int OriginalContext { get; init; }

    /// <summary>Llama 3: wavelengths longer than <see cref="OriginalContext"/> divided by this are stretched fully.</summary>
    public float LowFrequencyFactor { get; init; } = 1;

    /// <summary>Llama 3: wavelengths shorter than <see cref="OriginalContext"/> divided by this are kept.</summary>
    public float HighFrequencyFactor { get; init; } = 4;

    /// <summary>YaRN: rotations over the original context above which a dimension is kept.</summary>
    public float BetaFast { get; init; } = 32;

    /// <summary>YaRN: rotations over the original context below which a dimension is stretched fully.</summary>
    public float BetaSlow { get; init; } = 1;

    /// <summary>YaRN: whether the bounds between dimensions are rounded to whole ones.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>What cosines and sines are multiplied with.</summary>
    public float AttentionFactor { get; init; } = 1;

    /// <summary>Divisors of the frequencies for texts of at most <see cref="OriginalContext"/> tokens, and those of <see cref="RopeKind.Divisors"/>.</summary>
    public ImmutableArray<float> ShortDivisors { get; init; } = [];

    /// <summary>Divisors of the frequencies for longer texts.</summary>
    public ImmutableArray<float> LongDivisors { get; init; } = [];

    /// <summary>
    /// LongRope: whether the context that was asked for decides between the lists, once and for all, as in llama.cpp; else the length of
    /// the text so far.
    /// </summary>
    public bool SwitchesByContext { get; init; }
}
