using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>How far a decoded weight may be from the original. Named here, so that no test invents its own.</summary>
public static class ErrorBounds
{
    /// <summary>
    /// Root of the summed squares over n, on <see cref="SampleWeights.Cosines"/>: the measure and the limits of ggml's test-quantize-fns.
    /// </summary>
    public static double GgmlTotalError(QuantCodec codec) => codec switch
    {
        { Mlx.Mode: MlxMode.Affine } => codec.Mlx.Bits switch { 2 => 0.0095, 3 => 0.0045, _ => 0.002 },
        { Format: QuantFormat.MXFP4 or QuantFormat.NVFP4 } or { Mlx: not null } => 0.0045,
        { BitsPerWeight: < 3 } => 0.0075,
        { BitsPerWeight: < 4 } => 0.0040,
        _ => 0.002,
    };

    /// <summary>
    /// Largest error of one weight relative to the largest magnitude in its block, any weights. Half a step of the codes, or a whole one
    /// where only one sign has the extreme code; K-quants fit, so single weights may be clipped by more. For others, about three steps of codes
    /// that have all bits.
    /// </summary>
    public static double WorstWeight(QuantCodec codec) => codec.Mlx is { } mlx ? WorstWeight(mlx) : codec.Format switch
    {
        QuantFormat.Q8_0 => (0.5 / 127) + HalfRounding,
        QuantFormat.Q4_0 => (1.0 / 8) + HalfRounding,
        QuantFormat.Q5_0 => (1.0 / 16) + HalfRounding,
        QuantFormat.Q4_1 => (1.0 / 15) + (4 * HalfRounding),
        QuantFormat.Q5_1 => (1.0 / 31) + (4 * HalfRounding),
        QuantFormat.Q6_K => 0.03,
        QuantFormat.Q5_K => 0.07,
        QuantFormat.Q4_K => 0.12,
        QuantFormat.Q3_K => 0.35,
        QuantFormat.Q2_K => 0.80,
        QuantFormat.MXFP4 => 0.26,
        QuantFormat.NVFP4 => 0.2,
        _ => 4 * Math.Pow(2, -codec.BitsPerWeight),
    };

    // Affine: the far end of the range is clipped by up to half a step, beside half a step. Powers of two: up to 1.4 of the largest value are clipped.
    private static double WorstWeight(MlxFormat format) => format.Mode switch
    {
        MlxMode.Affine => (2.2 / ((1 << format.Bits) - 1)) + (4 * HalfRounding),
        MlxMode.NvFp4 => 0.2,
        _ => 0.3,
    };

    /// <summary>Relative error of a number rounded to binary16.</summary>
    private const double HalfRounding = 1.0 / 2048;
}
