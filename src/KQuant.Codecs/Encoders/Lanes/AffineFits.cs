namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>
/// Results of affine fits: of each lane the scale and the minimum, and what the codes of the fit are made of, <c>inverse * (x - low)</c>.
/// </summary>
internal readonly unsafe struct AffineFits(float* scales, float* mins, float* inverses, float* lows)
{
    public float* Scales { get; } = scales;

    public float* Mins { get; } = mins;

    public float* Inverses { get; } = inverses;

    public float* Lows { get; } = lows;

    /// <summary>Those of later lanes.</summary>
    public AffineFits Skip(nint lanes) => new(Scales + lanes, Mins + lanes, Inverses + lanes, Lows + lanes);
}
