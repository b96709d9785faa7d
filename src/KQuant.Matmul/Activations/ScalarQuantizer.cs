using KQuant.Codecs;

namespace KQuant.Matmul.Activations;

/// <summary>
/// Rounds a row of activations to int8; the specification of what the SIMD quantizers do. Every value is rounded to nearest even, and the
/// scales are float32. -128 never occurs: kernels rely on |code| &lt;= 127 for exact 16-bit sums.
/// </summary>
internal static unsafe class ScalarQuantizer
{
    /// <summary>Quantizes one row.</summary>
    /// <param name="x">The values.</param>
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
            uint largest = 0;
            for (int i = 0; i < length; i++)
            {
                largest = Math.Max(largest, BitConverter.SingleToUInt32Bits(MathF.Abs(x[start + i])));
            }

            float inverse = Scale(largest, out scales[start / blockSize]);
            for (int i = 0; i < blockSize; i++)
            {
                codes[start + i] = i < length && inverse != 0 ? (sbyte)MathF.Round(x[start + i] * inverse, MidpointRounding.ToEven) : (sbyte)0;
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

    /// <summary>The scale of a block, and what its values are multiplied by.</summary>
    /// <param name="largest">The largest magnitude in the block, as bits: in this order NaN is larger than infinity, and that than any number.</param>
    /// <param name="scale">
    /// What codes are multiplied with: a 127th of the largest magnitude; NaN for a block that holds an infinity or NaN, so that no product hides
    /// it; zero for a block of zeros or of numbers so small that they have no inverse.
    /// </param>
    /// <returns>What makes codes of values; zero when all codes are zero.</returns>
    public static float Scale(uint largest, out float scale)
    {
        const uint Infinity = 0x7F80_0000;
        float max = BitConverter.UInt32BitsToSingle(largest);
        float inverse = 127f / max;
        if (largest >= Infinity)
        {
            scale = float.NaN;
            return 0;
        }

        if (float.IsInfinity(inverse))
        {
            scale = 0;
            return 0;
        }

        scale = max / 127f;
        return inverse;
    }
}
