using KQuant.Codecs;

namespace KQuant.Matmul.Tests;

/// <summary>Shorthands for contexts and formats.</summary>
internal static class Contexts
{
    /// <summary>Every format that can be multiplied: those of the codecs and the three float formats.</summary>
    public static IEnumerable<QuantFormat> Formats => QuantCodec.All.Select(codec => codec.Format!.Value);

    /// <summary>Columns of which every codec can make rows, with a tail in the last unit of the 32-wide ones.</summary>
    public static int ColumnsOf(QuantFormat format) => QuantCodec.Get(format).WeightsPerBlock switch { 256 => 512, 32 => 416, _ => 421 };

    public static MatmulContext Create(
        int threads = 2,
        ActivationPrecision activations = ActivationPrecision.Int8,
        bool deterministic = false,
        KernelTier? maxTier = null) => new(new MatmulOptions
        {
            MaxDegreeOfParallelism = threads,
            Activations = activations,
            Deterministic = deterministic,
            MaxTier = maxTier ?? KernelTiers.Best,
            SpinBeforePark = TimeSpan.FromMicroseconds(20),
        });

    public static float[] Multiply(this MatmulContext context, QuantizedTensor weights, float[] x)
    {
        var y = new float[x.Length / weights.Shape.Columns * weights.Shape.Rows];
        y.AsSpan().Fill(float.NaN);
        QuantizedMatmul.Multiply(weights, x, y, context);
        return y;
    }

    public static float[] MultiplyTransposed(this MatmulContext context, QuantizedTensor weights, float[] dy)
    {
        var dx = new float[dy.Length / weights.Shape.Rows * weights.Shape.Columns];
        dx.AsSpan().Fill(float.NaN);
        QuantizedMatmul.MultiplyTransposed(weights, dy, dx, context);
        return dx;
    }
}
