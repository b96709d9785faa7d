using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs.Encoders.Lanes;

namespace KQuant.Codecs.Encoders;

/// <summary>The integers that a group may use, and whether a minimum goes with them.</summary>
/// <param name="Low">The least integer.</param>
/// <param name="High">The largest integer.</param>
/// <param name="HasMin">Whether the format stores minimums.</param>
/// <param name="LeastMin">The least minimum it can store.</param>
internal readonly record struct CodeRange(int Low, int High, bool HasMin = false, float LeastMin = float.NegativeInfinity);

/// <summary>Scales and minimums to choose from, and the errors that they lead to.</summary>
internal struct Candidates
{
    /// <summary>Room for candidates.</summary>
    public const int Capacity = 128;

    /// <summary>Candidates in use; a multiple of 16, so that they fill vectors of any width.</summary>
    public int Count;

    public Lanes Scales;
    public Lanes Mins;
    public Lanes Errors;

    [InlineArray(Capacity)]
    public struct Lanes
    {
        private float _first;
    }
}

/// <summary>Weighted sums over a group for one choice of codes q: of w, w x, w q, w q q and w x q.</summary>
internal readonly record struct Moments(float W, float X, float Q, float QQ, float XQ);

/// <summary>
/// One group of values, to be written as <c>x = scale * q - min</c> with integers q in a range, at the least weighted squared error. Many
/// candidates for (scale, min) are tried at once, one to a vector lane: each lane adds up in index order, so results do not depend on
/// the width of the vectors.
/// </summary>
/// <param name="x">The values.</param>
/// <param name="weights">A positive weight for each.</param>
/// <param name="codes">The integers.</param>
internal readonly unsafe ref struct CandidateSearch(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, CodeRange codes)
{
    private readonly ReadOnlySpan<float> _x = x;
    private readonly ReadOnlySpan<float> _weights = weights[..x.Length];

    /// <summary>Replaces each candidate by the least-squares optimum for the codes that it leads to, a number of times over.</summary>
    public void Improve(ref Candidates candidates, int rounds)
    {
        Span<float> scales = candidates.Scales[..candidates.Count];
        Span<float> mins = candidates.Mins[..candidates.Count];
        float w = 0, wx = 0;
        for (int i = 0; i < _x.Length; i++)
        {
            w += _weights[i];
            wx += _weights[i] * _x[i];
        }

        if (Vector512.IsHardwareAccelerated)
        {
            ImproveAll<Lanes512>(scales, mins, rounds, w, wx);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            ImproveAll<Lanes256>(scales, mins, rounds, w, wx);
        }
        else
        {
            ImproveAll<Lanes128>(scales, mins, rounds, w, wx);
        }
    }

    /// <summary>Computes the error of each candidate with the nearest codes, and finds the least; the first of several.</summary>
    /// <returns>Index of the best candidate.</returns>
    public int Best(ref Candidates candidates)
    {
        ReadOnlySpan<float> scales = candidates.Scales[..candidates.Count];
        ReadOnlySpan<float> mins = candidates.Mins[..candidates.Count];
        Span<float> errors = candidates.Errors[..candidates.Count];
        if (Vector512.IsHardwareAccelerated)
        {
            MeasureAll<Lanes512>(scales, mins, errors);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            MeasureAll<Lanes256>(scales, mins, errors);
        }
        else
        {
            MeasureAll<Lanes128>(scales, mins, errors);
        }

        int best = 0;
        float least = float.PositiveInfinity;
        for (int k = 0; k < errors.Length; k++)
        {
            if (errors[k] < least)
            {
                (best, least) = (k, errors[k]);
            }
        }

        return best;
    }

    /// <summary>The sums for the nearest codes of one candidate.</summary>
    public Moments Measure(float scale, float min)
    {
        float inverse = scale == 0 ? 0 : 1 / scale;
        float sumW = 0, sumX = 0, sumQ = 0, sumQQ = 0, sumXQ = 0;
        for (int i = 0; i < _x.Length; i++)
        {
            float w = _weights[i];
            float q = Nearest(_x[i], inverse, min);
            sumW += w;
            sumX += w * _x[i];
            sumQ += w * q;
            sumQQ += w * q * q;
            sumXQ += w * q * _x[i];
        }

        return new Moments(sumW, sumX, sumQ, sumQQ, sumXQ);
    }

    /// <summary>The nearest codes for one candidate, counted from the least integer.</summary>
    public void Quantize(float scale, float min, Span<byte> destination)
    {
        float inverse = scale == 0 ? 0 : 1 / scale;
        for (int i = 0; i < _x.Length; i++)
        {
            destination[i] = (byte)(Nearest(_x[i], inverse, min) - codes.Low);
        }
    }

    private float Nearest(float value, float inverse, float min) =>
        float.MinNative(float.MaxNative(MathF.Round((value + min) * inverse), codes.Low), codes.High);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ImproveAll<T>(Span<float> scales, Span<float> mins, int rounds, float sumW, float sumX)
        where T : struct, ILanes<T>
    {
        fixed (float* scale = scales, min = mins)
        {
            for (int k = 0; k < scales.Length; k += T.Count)
            {
                for (int round = 0; round < rounds; round++)
                {
                    Improve(scale + k, min + k, T.Create(sumW), T.Create(sumX));
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Improve<T>(float* scales, float* mins, T sumW, T sumX)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0), low = T.Create(codes.Low), high = T.Create(codes.High);
        T scale = T.Load(scales), min = T.Load(mins), inverse = Reciprocal(scale);
        T sumQ = zero, sumQQ = zero, sumXQ = zero;
        for (int i = 0; i < _x.Length; i++)
        {
            T value = T.Create(_x[i]);
            T q = T.Min(T.Max(T.Round((value + min) * inverse), low), high);
            T wq = q * T.Create(_weights[i]);
            sumQ += wq;
            sumQQ += wq * q;
            sumXQ += wq * value;
        }

        if (!codes.HasMin)
        {
            T.Select(sumQQ > zero, sumXQ / sumQQ, scale).Store(scales);
            return;
        }

        // The optimum, or where its minimum is not allowed, the best scale for the least one.
        T determinant = (sumW * sumQQ) - (sumQ * sumQ);
        T newScale = ((sumW * sumXQ) - (sumX * sumQ)) / determinant;
        T newMin = ((sumQ * sumXQ) - (sumQQ * sumX)) / determinant;
        T leastMin = T.Create(codes.LeastMin);
        T tooLow = newMin < leastMin;
        newScale = T.Select(tooLow, (sumXQ + (leastMin * sumQ)) / sumQQ, newScale);
        newMin = T.Select(tooLow, leastMin, newMin);
        T solvable = determinant > zero;
        T.Select(solvable, newScale, scale).Store(scales);
        T.Select(solvable, newMin, min).Store(mins);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MeasureAll<T>(ReadOnlySpan<float> scales, ReadOnlySpan<float> mins, Span<float> errors)
        where T : struct, ILanes<T>
    {
        T low = T.Create(codes.Low), high = T.Create(codes.High);
        fixed (float* scale = scales, min = mins, error = errors)
        {
            for (int k = 0; k < scales.Length; k += T.Count)
            {
                T lanes = T.Load(scale + k), offset = T.Load(min + k), inverse = Reciprocal(lanes), sum = T.Create(0);
                for (int i = 0; i < _x.Length; i++)
                {
                    T value = T.Create(_x[i]) + offset;
                    T q = T.Min(T.Max(T.Round(value * inverse), low), high);
                    T difference = value - (lanes * q);
                    sum += difference * difference * T.Create(_weights[i]);
                }

                sum.Store(error + k);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Reciprocal<T>(T scale)
        where T : struct, ILanes<T> => T.Select(T.AreEqual(scale, T.Create(0)), T.Create(0), T.Create(1) / scale);
}
