using KQuant.Codecs;

namespace KQuant.Matmul.Tests;

/// <summary>Shorthands for contexts and formats.</summary>
internal static class Contexts
{
    // One of MLX's for each number of bits and each group size; MlxProductTests multiplies with all of them.
    private static readonly string[] Planes =
        ["affine2_128", "affine3_64", "affine4_64", "affine5_32", "affine6_128", "affine8_64", "mlx_mxfp4", "mlx_mxfp8", "mlx_nvfp4"];

    /// <summary>What can be multiplied: GGML's codecs, some of MLX's and the three float formats.</summary>
    public static IEnumerable<QuantCodec> Formats => QuantCodec.All.Where(codec => codec.Format is not null || Planes.Contains(codec.Name));

    /// <summary>Columns of which a codec can make rows, with a tail in the last unit of 256 where blocks are smaller.</summary>
    public static int ColumnsOf(QuantCodec codec) =>
        codec.WeightsPerBlock switch { 256 => 512, 128 => 384, 64 => 448, 32 => 416, 16 => 400, _ => 421 };

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
