namespace KQuant.Codecs.Conversion;

/// <summary>
/// The largest <see cref="WeightError.Nmse"/> that a weight may have in each format before something is wrong with it. The defaults are three
/// to four times what the reference encoders reach on the weights of a trained language model.
/// </summary>
public sealed class ErrorLimits
{
    private readonly Dictionary<QuantFormat, double> _limits;

    /// <summary>Creates the default limits.</summary>
    public ErrorLimits() => _limits = new Dictionary<QuantFormat, double>
    {
        [QuantFormat.F32] = 0,
        [QuantFormat.F16] = 1e-5,
        [QuantFormat.BF16] = 1e-5,
        [QuantFormat.Q8_0] = 1e-4,
        [QuantFormat.Q6_K] = 1.2e-3,
        [QuantFormat.Q5_K] = 5e-3,
        [QuantFormat.Q5_1] = 5e-3,
        [QuantFormat.Q5_0] = 6e-3,
        [QuantFormat.Q4_K] = 0.02,
        [QuantFormat.Q4_1] = 0.02,
        [QuantFormat.Q4_0] = 0.025,
        [QuantFormat.Q3_K] = 0.08,
        [QuantFormat.Q2_K] = 0.3,
    };

    /// <summary>The limit of a format; infinite for one that has none.</summary>
    /// <param name="format">A format.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is negative or NaN.</exception>
    public double this[QuantFormat format]
    {
        get => _limits.GetValueOrDefault(format, double.PositiveInfinity);
        set => _limits[format] = value >= 0 ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "A limit is not negative.");
    }
}
