namespace KQuant.Codecs.Conversion;

/// <summary>
/// The largest <see cref="WeightError.Nmse"/> that a weight may have in each codec before something is wrong with it:
/// <see cref="QuantCodec.ErrorLimit"/> unless set otherwise.
/// </summary>
public sealed class ErrorLimits
{
    private readonly Dictionary<QuantCodec, double> _limits = [];

    /// <summary>The limit of a codec.</summary>
    /// <param name="codec">A codec.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is negative or NaN.</exception>
    public double this[QuantCodec codec]
    {
        get => _limits.TryGetValue(codec, out double limit) ? limit : codec.ErrorLimit;
        set => _limits[codec] = value >= 0 ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "A limit is not negative.");
    }
}
