using static KQuant.Codecs.Encoders.Rounding;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// Fits the scales (or minimums) of a super-block: <c>x = scale * q</c> with x not negative and q from 0 to a largest code.
/// </summary>
internal static class ScaleFit
{
    /// <summary>
    /// Tries nine scales, then moves single codes as long as the weighted error falls, up to five rounds. (ggml <c>make_qp_quants</c>.)
    /// </summary>
    /// <param name="x">Sub-block scales or minimums, none negative.</param>
    /// <param name="weights">Summed weights of the sub-blocks.</param>
    /// <param name="maxCode">Largest code.</param>
    /// <param name="codes">Receives one code per sub-block.</param>
    /// <returns>The scale of the scales.</returns>
    public static float Fit(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, int maxCode, Span<byte> codes)
    {
        float max = 0;
        foreach (float value in x)
        {
            max = value > max ? value : max;
        }

        if (max < SymmetricFit.Tiny)
        {
            codes[..x.Length].Clear();
            return 0;
        }

        float inverse = maxCode / max;
        float best = Error(x, weights, inverse, int.MaxValue);
        for (int step = -4; step <= 4; step++)
        {
            if (step == 0)
            {
                continue;
            }

            float candidate = ((0.1f * step) + maxCode) / max;
            float error = Error(x, weights, candidate, maxCode);
            if (error < best)
            {
                (best, inverse) = (error, candidate);
            }
        }

        float xl = 0, ll = 0;
        for (int i = 0; i < x.Length; i++)
        {
            int l = Math.Min(maxCode, NearestInt(inverse * x[i]));
            codes[i] = (byte)l;
            xl += weights[i] * x[i] * l;
            ll += weights[i] * l * l;
        }

        bool changed = true;
        for (int round = 0; round < 5 && changed; round++)
        {
            changed = false;
            for (int i = 0; i < x.Length; i++)
            {
                float w = weights[i];
                float xlOthers = xl - (w * x[i] * codes[i]);
                float llOthers = ll - (w * codes[i] * codes[i]);
                if (!(xlOthers > 0 && llOthers > 0))
                {
                    continue;
                }

                int code = Math.Min(maxCode, NearestInt(x[i] * llOthers / xlOthers));
                if (code == codes[i])
                {
                    continue;
                }

                float xlNew = xlOthers + (w * x[i] * code);
                float llNew = llOthers + (w * code * code);
                if (xlNew * xlNew * ll > xl * xl * llNew)
                {
                    (codes[i], xl, ll, changed) = ((byte)code, xlNew, llNew, true);
                }
            }
        }

        return ll > 0 ? xl / ll : 0;
    }

    private static float Error(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float inverse, int maxCode)
    {
        float scale = 1 / inverse;
        float sum = 0;
        for (int i = 0; i < x.Length; i++)
        {
            int l = Math.Min(maxCode, NearestInt(inverse * x[i]));
            float error = x[i] - (scale * l);
            sum += weights[i] * error * error;
        }

        return sum;
    }
}
