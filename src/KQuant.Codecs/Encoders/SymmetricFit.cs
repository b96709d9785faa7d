using System.Runtime.CompilerServices;
using static KQuant.Codecs.Encoders.Rounding;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// Fits <c>x = scale * q</c> with q from -half to half - 1. Codes are stored with half added. All arithmetic is float32 in index order,
/// because the last bit of a sum can decide between two scales.
/// </summary>
internal static class SymmetricFit
{
    /// <summary>Below this magnitude a group counts as zeros. (ggml <c>GROUP_MAX_EPS</c>.)</summary>
    public const float Tiny = 1e-15f;

    /// <summary>
    /// Tries nineteen scales around the one that maps the largest value to -half, each replaced by its weighted least-squares optimum.
    /// (ggml <c>make_qx_quants</c>, rmse type 1.)
    /// </summary>
    /// <param name="x">The values of one group.</param>
    /// <param name="weights">A weight for each; x squared where ggml passes none.</param>
    /// <param name="half">Half the number of codes.</param>
    /// <param name="codes">Receives one code per value, 0 to 2 * half - 1.</param>
    /// <returns>The scale; its sign is opposite to that of the largest value.</returns>
    public static float Fit(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half, Span<byte> codes)
    {
        float extreme = Extreme(x);
        if (MathF.Abs(extreme) < Tiny)
        {
            codes[..x.Length].Clear();
            return 0;
        }

        float inverse = -half / extreme;
        float bestInverse = inverse;
        (float xl, float ll) = Moments(x, weights, half, inverse);
        float scale = ll != 0 ? xl / ll : 0;
        float best = scale * xl;
        for (int step = -9; step <= 9; step++)
        {
            if (step == 0)
            {
                continue;
            }

            inverse = -(half + (0.1f * step)) / extreme;
            (xl, ll) = Moments(x, weights, half, inverse);
            if (ll > 0 && xl * xl > best * ll)
            {
                bestInverse = inverse;
                scale = xl / ll;
                best = scale * xl;
            }
        }

        for (int i = 0; i < x.Length; i++)
        {
            codes[i] = (byte)(NearestInt(bestInverse * x[i], -half, half - 1) + half);
        }

        return scale;
    }

    /// <summary>
    /// One scale, then up to five rounds in which each code moves to where the least-squares scale of the others wants it. The weight of
    /// a value is its square. (ggml <c>make_q3_quants</c>.)
    /// </summary>
    /// <inheritdoc cref="Fit"/>
    public static float FitByRounds(ReadOnlySpan<float> x, int half, Span<byte> codes)
    {
        codes = codes[..x.Length];
        float extreme = Extreme(x);
        if (MathF.Abs(extreme) < Tiny)
        {
            codes.Clear();
            return 0;
        }

        Span<int> l = stackalloc int[x.Length];
        float inverse = -half / extreme;
        float xl = 0, ll = 0;
        for (int i = 0; i < x.Length; i++)
        {
            l[i] = NearestInt(inverse * x[i], -half, half - 1);
            float w = x[i] * x[i];
            xl += w * x[i] * l[i];
            ll += w * l[i] * l[i];
        }

        bool changed = true;
        for (int round = 0; round < 5 && changed; round++)
        {
            changed = false;
            for (int i = 0; i < x.Length; i++)
            {
                float w = x[i] * x[i];
                float xlOthers = xl - (w * x[i] * l[i]);
                if (!(xlOthers > 0))
                {
                    continue;
                }

                float llOthers = ll - (w * l[i] * l[i]);
                int code = NearestInt(x[i] * llOthers / xlOthers, -half, half - 1);
                if (code == l[i])
                {
                    continue;
                }

                float xlNew = xlOthers + (w * x[i] * code);
                float llNew = llOthers + (w * code * code);
                if (llNew > 0 && xlNew * xlNew * ll > xl * xl * llNew)
                {
                    (l[i], xl, ll, changed) = (code, xlNew, llNew, true);
                }
            }
        }

        for (int i = 0; i < x.Length; i++)
        {
            codes[i] = (byte)(l[i] + half);
        }

        return ll > 0 ? xl / ll : 0;
    }

    /// <summary>The value of largest magnitude, the first of several; 0 for zeros.</summary>
    public static float Extreme(ReadOnlySpan<float> x)
    {
        float magnitude = 0, extreme = 0;
        foreach (float value in x)
        {
            if (MathF.Abs(value) > magnitude)
            {
                magnitude = MathF.Abs(value);
                extreme = value;
            }
        }

        return extreme;
    }

    /// <summary>New codes for a scale that was rounded after the fit.</summary>
    /// <param name="x">The values of one group.</param>
    /// <param name="scale">The scale as a decoder sees it, not zero.</param>
    /// <param name="half">Half the number of codes.</param>
    /// <param name="codes">Receives the codes, half added.</param>
    public static void Requantize(ReadOnlySpan<float> x, float scale, int half, Span<byte> codes)
    {
        for (int i = 0; i < x.Length; i++)
        {
            codes[i] = (byte)(NearestInt(x[i] / scale, -half, half - 1) + half);
        }
    }

    /// <summary>Weighted sums of x * q and q * q for the codes that an inverse scale gives.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float XL, float LL) Moments(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int half, float inverse)
    {
        weights = weights[..x.Length];
        float xl = 0, ll = 0;
        for (int i = 0; i < x.Length; i++)
        {
            float l = NearestInt(inverse * x[i], -half, half - 1);
            xl += weights[i] * x[i] * l;
            ll += weights[i] * l * l;
        }

        return (xl, ll);
    }
}
