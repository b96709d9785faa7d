namespace KQuant.Matmul.Activations;

/// <summary>
/// Rounds a row of activations to int8; the specification of what the SIMD quantizers do. Every value is rounded to nearest even, and the
/// scales are float32. -128 never occurs: kernels rely on |code| &lt;= 127 for exact 16-bit sums.
/// </summary>
internal static unsafe class ScalarQuantizer
{
    /// <summary>Quantizes one row.</summary>
    /// <param name="x">Finite values.</param>
    /// <param name="count">How many; the rest of the last unit is filled with zeros.</param>
    /// <param name="view">Where the row goes.</param>
    /// <param name="row">Which row of the view.</param>
    public static void Quantize(float* x, int count, in ActivationView view, nint row)
    {
        int blockSize = view.Scheme == ActivationScheme.Block256 ? 256 : 32;
        int sumSize = view.Scheme == ActivationScheme.Block256 ? 16 : 32;
        sbyte* codes = view.RowCodes(row);
        float* scales = view.RowScales(row);
        short* sums = view.RowSums(row);
        for (int start = 0; start < view.Units * 256; start += blockSize)
        {
            int length = Math.Clamp(count - start, 0, blockSize);
            float max = 0;
            for (int i = 0; i < length; i++)
            {
                max = MathF.Max(max, MathF.Abs(x[start + i]));
            }

            float inverse = max == 0 ? 0 : 127f / max;
            scales[start / blockSize] = max / 127f;
            for (int i = 0; i < blockSize; i++)
            {
                codes[start + i] = i < length ? (sbyte)MathF.Round(x[start + i] * inverse, MidpointRounding.ToEven) : (sbyte)0;
            }
        }

        for (int start = 0; start < view.Units * 256; start += sumSize)
        {
            int sum = 0;
            for (int i = 0; i < sumSize; i++)
            {
                sum += codes[start + i];
            }

            sums[start / sumSize] = (short)sum;
        }
    }
}
