using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Planes;

/// <summary>
/// Fits scale and bias of an affine group of 32, 64 or 128 weights. Sums are taken in sixteen lanes on every machine, and nothing is fused, so that
/// the bytes are the same everywhere.
/// </summary>
internal static class AffineGroup
{
    // Below this MLX takes no step between codes.
    private const float LeastScale = 1e-7f;

    // Narrower ranges that the search tries; each gives two candidates.
    private const int Ranges = 16;

    /// <summary>
    /// MLX's rule, in float32: the end of the range that lies further from zero is kept exactly, and zero falls on a code. Quotients are rounded to
    /// even, as on MLX's processor path.
    /// </summary>
    /// <param name="x">The weights of a group.</param>
    /// <param name="maxCode">The largest code.</param>
    /// <returns>Scale and bias, not yet rounded to what they are stored as.</returns>
    public static AffineScale Fit(ReadOnlySpan<float> x, int maxCode)
    {
        (float low, float high) = Range(x);
        bool isLow = MathF.Abs(low) > MathF.Abs(high);
        float scale = MathF.Max((high - low) / maxCode, LeastScale);
        scale = isLow ? scale : -scale;
        float edge = isLow ? low : high;
        float steps = MathF.Round(edge / scale);
        return steps == 0 ? new AffineScale(scale, 0) : new AffineScale(edge / steps, edge);
    }

    /// <summary>The code nearest to each weight, ties to even.</summary>
    /// <param name="x">The weights of a group.</param>
    /// <param name="scale">Scale and bias; without a scale all codes are 0.</param>
    /// <param name="maxCode">The largest code.</param>
    /// <param name="codes">Receives the codes.</param>
    public static void Quantize(ReadOnlySpan<float> x, AffineScale scale, int maxCode, Span<byte> codes)
    {
        if (scale.Scale == 0)
        {
            codes[..x.Length].Clear();
            return;
        }

        for (int i = 0; i < x.Length; i += 32)
        {
            Vector512<int> first = Vector512.ConvertToInt32(Codes(Load(x, i), scale, maxCode));
            Vector512<int> second = Vector512.ConvertToInt32(Codes(Load(x, i + 16), scale, maxCode));
            Vector512<ushort> both = Vector512.Narrow(first.AsUInt32(), second.AsUInt32());
            Vector256.Narrow(both.GetLower(), both.GetUpper()).CopyTo(codes[i..]);
        }
    }

    /// <summary>
    /// Looks for scale and bias with a lower weighted squared error: narrower ranges, each replaced by the least-squares optimum of its codes. What was
    /// there stays unless something is better as decoded.
    /// </summary>
    /// <param name="x">The weights of a group.</param>
    /// <param name="importance">What errors count; empty if all count the same.</param>
    /// <param name="codec">Says how scales are stored and how many codes there are.</param>
    /// <param name="scale">Scale and bias as stored, finite.</param>
    /// <param name="codes">The codes that go with them.</param>
    [SkipLocalsInit]
    public static void Improve(ReadOnlySpan<float> x, ReadOnlySpan<float> importance, AffineCodec codec, ref AffineScale scale, Span<byte> codes)
    {
        int maxCode = (1 << codec.Bits) - 1;
        Span<float> buffer = stackalloc float[128];
        Span<float> weights = buffer[..x.Length];
        Normalize(importance, weights);

        (float low, float high) = Range(x);
        float middle = (0.5f * low) + (0.5f * high), half = (0.5f * high) - (0.5f * low);
        float narrowing = 0.9f / (Ranges * (1 << codec.Bits - 2));
        AffineScale best = scale;
        float bestError = float.PositiveInfinity;
        Try(x, weights, codec, maxCode, new AffineScale(0, Mean(x, weights)), ref best, ref bestError);
        Try(x, weights, codec, maxCode, scale, ref best, ref bestError);
        for (int k = 0; k < Ranges; k++)
        {
            float range = half * (1.02f - (k * narrowing));
            var candidate = new AffineScale(2 * range / maxCode, middle - range);
            for (int round = 0; round < 2 && candidate.Scale > 0; round++)
            {
                candidate = codec.Round(Optimum(x, weights, candidate, maxCode));
                Try(x, weights, codec, maxCode, candidate, ref best, ref bestError);
            }
        }

        Span<byte> found = stackalloc byte[128];
        found = found[..x.Length];
        Quantize(x, best, maxCode, found);
        (double newError, double newTieBreak) = Error(x, weights, importance, best, found);
        (double error, double tieBreak) = Error(x, weights, importance, scale, codes);
        if (newError <= error && newTieBreak < tieBreak)
        {
            scale = best;
            found.CopyTo(codes);
        }
    }

    private static void Try(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, AffineCodec codec, int maxCode, AffineScale candidate, ref AffineScale best, ref float bestError)
    {
        candidate = codec.Round(candidate);
        if (!candidate.IsFinite)
        {
            return;
        }

        Vector512<float> sum = Vector512<float>.Zero;
        for (int i = 0; i < x.Length; i += 16)
        {
            Vector512<float> values = Load(x, i);
            Vector512<float> decoded = candidate.Scale == 0
                ? Vector512.Create(candidate.Bias)
                : (Codes(values, candidate, maxCode) * candidate.Scale) + Vector512.Create(candidate.Bias);
            Vector512<float> difference = values - decoded;
            sum += Load(weights, i) * difference * difference;
        }

        float error = Sum(sum);
        if (error < bestError)
        {
            (best, bestError) = (candidate, error);
        }
    }

    /// <summary>The weighted least-squares scale and bias for the codes that a candidate gives.</summary>
    private static AffineScale Optimum(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, AffineScale candidate, int maxCode)
    {
        Vector512<float> w = default, wq = default, wqq = default, wx = default, wqx = default;
        for (int i = 0; i < x.Length; i += 16)
        {
            Vector512<float> values = Load(x, i), weight = Load(weights, i), q = Codes(values, candidate, maxCode), weighted = weight * q;
            w += weight;
            wq += weighted;
            wqq += weighted * q;
            wx += weight * values;
            wqx += weighted * values;
        }

        double sumW = Sum(w), sumQ = Sum(wq), sumX = Sum(wx), sumQX = Sum(wqx);
        double determinant = (sumW * Sum(wqq)) - (sumQ * sumQ);
        if (!(determinant > 0))
        {
            return new AffineScale(0, (float)(sumX / sumW));
        }

        double scale = ((sumW * sumQX) - (sumQ * sumX)) / determinant;
        return new AffineScale((float)scale, (float)((sumX - (scale * sumQ)) / sumW));
    }

    private static Vector512<float> Codes(Vector512<float> x, AffineScale scale, int maxCode) => Vector512.Min(
        Vector512.Max(Vector512.Round((x - Vector512.Create(scale.Bias)) / Vector512.Create(scale.Scale)), Vector512<float>.Zero),
        Vector512.Create((float)maxCode));

    private static (float Low, float High) Range(ReadOnlySpan<float> x)
    {
        Vector512<float> low = Load(x, 0), high = low;
        for (int i = 16; i < x.Length; i += 16)
        {
            low = Vector512.Min(low, Load(x, i));
            high = Vector512.Max(high, Load(x, i));
        }

        float least = low[0], largest = high[0];
        for (int lane = 1; lane < 16; lane++)
        {
            least = MathF.Min(least, low[lane]);
            largest = MathF.Max(largest, high[lane]);
        }

        return (least, largest);
    }

    // At most 1; a little more than nothing for weights without importance, so that they still count.
    private static void Normalize(ReadOnlySpan<float> importance, Span<float> weights)
    {
        float max = importance.IsEmpty ? 0 : TensorPrimitives.Max(importance);
        if (max == 0)
        {
            weights.Fill(1);
            return;
        }

        TensorPrimitives.Divide(importance, max, weights);
        TensorPrimitives.Max(weights, 1e-6f, weights);
    }

    private static float Mean(ReadOnlySpan<float> x, ReadOnlySpan<float> weights)
    {
        double sum = 0, total = 0;
        for (int i = 0; i < x.Length; i++)
        {
            sum += (double)weights[i] * x[i];
            total += weights[i];
        }

        return (float)(sum / total);
    }

    private static (double Error, double TieBreak) Error(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, AffineScale scale, ReadOnlySpan<byte> codes)
    {
        double error = 0, tieBreak = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double difference = (double)x[i] - ((codes[i] * scale.Scale) + scale.Bias);
            error += (importance.IsEmpty ? 1 : importance[i]) * difference * difference;
            tieBreak += weights[i] * difference * difference;
        }

        return (error, tieBreak);
    }

    private static Vector512<float> Load(ReadOnlySpan<float> values, int index) =>
        Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(values), (nuint)index);

    private static float Sum(Vector512<float> lanes)
    {
        float sum = 0;
        for (int lane = 0; lane < 16; lane++)
        {
            sum += lanes[lane];
        }

        return sum;
    }
}
