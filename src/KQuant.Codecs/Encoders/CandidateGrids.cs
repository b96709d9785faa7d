namespace KQuant.Codecs.Encoders;

/// <summary>
/// Where searches start. The ranges reach beyond the values on one side, because a shifted grid of codes often fits better, and well
/// inside on the other, because clipping a few values can pay.
/// </summary>
internal static class CandidateGrids
{
    /// <summary>Scales of both signs that map the value of largest magnitude to 0.75 to 1.25 times the end of the codes.</summary>
    public static void Symmetric(ReadOnlySpan<float> x, int end, float current, ref Candidates candidates)
    {
        float unit = SymmetricFit.Extreme(x) / end;
        candidates.Count = 32;
        for (int k = 0; k < 16; k++)
        {
            float scale = unit / (0.75f + (k * (0.5f / 15)));
            candidates.Scales[2 * k] = -scale;
            candidates.Scales[(2 * k) + 1] = scale;
        }

        candidates.Scales[31] = current;
        ((Span<float>)candidates.Mins).Clear();
    }

    /// <summary>Ranges of codes whose ends lie between 0.1 times the range of the values outside it and 0.25 times inside.</summary>
    public static void Affine(ReadOnlySpan<float> x, CodeRange codes, float currentScale, float currentMin, ref Candidates candidates)
    {
        float low = x[0], high = x[0];
        foreach (float value in x)
        {
            low = MathF.Min(low, value);
            high = MathF.Max(high, value);
        }

        low = MathF.Min(low, -codes.LeastMin);
        float step = 0.05f * (high - low);
        candidates.Count = 64;
        for (int i = 0; i < 8; i++)
        {
            float first = low + ((i - 2) * step);
            for (int j = 0; j < 8; j++)
            {
                candidates.Scales[(8 * i) + j] = (high - ((j - 2) * step) - first) / codes.High;
                candidates.Mins[(8 * i) + j] = -first;
            }
        }

        candidates.Scales[0] = currentScale;
        candidates.Mins[0] = currentMin;
    }

    /// <summary>A scale for scales: binary16 numbers that map the largest of them to 0.68 to 1.03 times the largest code.</summary>
    public static void Shared(ReadOnlySpan<float> scales, CodeRange codes, ref Candidates candidates)
    {
        float unit = MathF.Abs(SymmetricFit.Extreme(scales)) / codes.High;
        candidates.Count = codes.Low < 0 ? 128 : 64;
        for (int k = 0; k < 64; k++)
        {
            float scale = (float)(Half)(unit / (1.03f - (k * (0.35f / 63))));
            candidates.Scales[k] = scale;
            candidates.Scales[k + 64] = -scale;
        }

        ((Span<float>)candidates.Mins).Clear();
    }

    /// <summary>Neighbours of a binary16 scale and minimum, itself among them.</summary>
    public static void Neighbours(Half scale, Half min, int scalesBelow, int scales, int mins, ref Candidates candidates)
    {
        candidates.Count = scales * mins;
        for (int k = 0; k < candidates.Count; k++)
        {
            candidates.Scales[k] = (float)Step(scale, (k % scales) - scalesBelow);
            candidates.Mins[k] = (float)Step(min, (k / scales) - (mins / 2));
        }
    }

    /// <summary>The number some places away from zero among the finite binary16 numbers of its sign.</summary>
    private static Half Step(Half value, int places)
    {
        ushort bits = BitConverter.HalfToUInt16Bits(value);
        int magnitude = Math.Clamp((bits & 0x7FFF) + places, 0, 0x7BFF);
        return BitConverter.UInt16BitsToHalf((ushort)((bits & 0x8000) | magnitude));
    }
}
