using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using static KQuant.Codecs.Encoders.Rounding;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// Which scales an affine fit tries: <c>(First + i * Step + MaxCode) / range</c> for i from 0 to <c>Steps</c>, both included.
/// </summary>
/// <param name="MaxCode">Largest code; codes start at 0.</param>
/// <param name="First">Where the candidates start, in codes.</param>
/// <param name="Step">Distance of two candidates, in codes.</param>
/// <param name="Steps">Index of the last candidate.</param>
/// <param name="AbsoluteError">Minimise absolute instead of squared errors.</param>
internal readonly record struct AffineSearch(int MaxCode, float First, float Step, int Steps, bool AbsoluteError = false)
{
    /// <summary>The candidates with importance, the same for all affine codecs.</summary>
    public static AffineSearch Weighted(int maxCode) => new(maxCode, -0.9f, 0.05f, 36);
}

/// <summary>Fits <c>x = scale * q - min</c> with q from 0 to a largest code and min not negative.</summary>
internal static class AffineFit
{
    /// <summary>The largest group: a sub-block of q4_K or a block of q4_1.</summary>
    public const int MaxGroup = 32;

    /// <summary>
    /// Starts from the range of the values and tries candidate scales, each replaced by the weighted least-squares optimum for its codes. A
    /// better candidate also moves the minimum from which the next ones are measured. (ggml <c>make_qkx2_quants</c>,
    /// <c>make_qkx3_quants</c>.)
    /// </summary>
    /// <param name="x">The values of one group.</param>
    /// <param name="weights">A weight for each.</param>
    /// <param name="search">The candidates.</param>
    /// <param name="codes">Receives one code per value.</param>
    /// <param name="min">The minimum, subtracted when decoding.</param>
    /// <returns>The scale.</returns>
    [SkipLocalsInit]
    public static float Fit(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, in AffineSearch search, Span<byte> codes, out float min)
    {
        weights = weights[..x.Length];
        codes = codes[..x.Length];
        float low = x[0], high = x[0], sumW = weights[0], sumX = sumW * x[0];
        for (int i = 1; i < x.Length; i++)
        {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
            sumW += weights[i];
            sumX += weights[i] * x[i];
        }

        low = low > 0 ? 0 : low;
        if (high <= low)
        {
            codes.Clear();
            min = -low;
            return 0;
        }

        Span<float> candidate = stackalloc float[MaxGroup];
        Span<float> chosen = stackalloc float[MaxGroup];
        candidate = candidate[..x.Length];
        chosen = chosen[..x.Length];

        int maxCode = search.MaxCode;
        float inverse = maxCode / (high - low);
        float scale = 1 / inverse;
        for (int i = 0; i < x.Length; i++)
        {
            chosen[i] = NearestInt(inverse * (x[i] - low), 0, maxCode);
        }

        float best = Error(x, weights, chosen, scale, low, search.AbsoluteError);
        for (int step = 0; step <= search.Steps; step++)
        {
            inverse = (search.First + (search.Step * step) + maxCode) / (high - low);
            float sumL = 0, sumLL = 0, sumXL = 0;
            for (int i = 0; i < x.Length; i++)
            {
                float l = NearestInt(inverse * (x[i] - low), 0, maxCode);
                candidate[i] = l;
                float wl = weights[i] * l;
                sumL += wl;
                sumLL += wl * l;
                sumXL += wl * x[i];
            }

            float determinant = (sumW * sumLL) - (sumL * sumL);
            if (!(determinant > 0))
            {
                continue;
            }

            float newScale = ((sumW * sumXL) - (sumX * sumL)) / determinant;
            float newLow = ((sumLL * sumX) - (sumL * sumXL)) / determinant;
            if (newLow > 0)
            {
                newLow = 0;
                newScale = sumXL / sumLL;
            }

            float error = Error(x, weights, candidate, newScale, newLow, search.AbsoluteError);
            if (error < best)
            {
                (best, scale, low) = (error, newScale, newLow);
                Span<float> swap = chosen;
                chosen = candidate;
                candidate = swap;
            }
        }

        for (int i = 0; i < x.Length; i++)
        {
            codes[i] = (byte)chosen[i];
        }

        min = -low;
        return scale;
    }

    /// <summary>The least and the largest value. Of zeros with different signs it is the first, as in ggml; the sign is stored.</summary>
    public static (float Low, float High) Range(ReadOnlySpan<float> x)
    {
        float low = TensorPrimitives.Min(x);
        if (low == 0)
        {
            low = x[x.IndexOf(0f)];
        }

        return (low, TensorPrimitives.Max(x));
    }

    /// <summary>New codes for a scale and a minimum that were rounded after the fit.</summary>
    /// <param name="x">The values of one group.</param>
    /// <param name="scale">The scale as a decoder sees it, not zero.</param>
    /// <param name="min">The minimum as a decoder sees it.</param>
    /// <param name="maxCode">Largest code.</param>
    /// <param name="codes">Receives the codes.</param>
    public static void Requantize(ReadOnlySpan<float> x, float scale, float min, int maxCode, Span<byte> codes)
    {
        for (int i = 0; i < x.Length; i++)
        {
            codes[i] = (byte)NearestInt((x[i] + min) / scale, 0, maxCode);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Error(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<float> codes, float scale, float low, bool absolute)
    {
        float sum = 0;
        for (int i = 0; i < x.Length; i++)
        {
            float error = (scale * codes[i]) + low - x[i];
            sum += weights[i] * (absolute ? MathF.Abs(error) : error * error);
        }

        return sum;
    }
}
