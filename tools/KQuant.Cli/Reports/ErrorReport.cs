using KQuant.Codecs.Conversion;

namespace KQuant.Cli.Reports;

/// <summary>An error in JSON; a value that is not finite is null there.</summary>
/// <param name="Rmse">Root mean square of the differences.</param>
/// <param name="Nmse">Their squares over the squares of the originals.</param>
/// <param name="Cosine">Cosine of the angle between both.</param>
/// <param name="MaxAbs">The largest difference.</param>
internal sealed record ErrorReport(double? Rmse, double? Nmse, double? Cosine, double? MaxAbs)
{
    /// <summary>The report of an error, null for none.</summary>
    public static ErrorReport? Of(WeightError? error) => error is WeightError e
        ? new ErrorReport(Finite(e.Rmse), Finite(e.Nmse), Finite(e.Cosine), Finite(e.MaxAbsolute))
        : null;

    private static double? Finite(double value) => double.IsFinite(value) ? value : null;
}
