using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>The scales (or minimums) of a super-block in each lane become integers.</summary>
internal static unsafe class ScaleLaneFit
{
    /// <summary><see cref="ScaleFit.Fit"/>.</summary>
    /// <param name="x">Sub-block scales or minimums, <paramref name="count"/> times as many as there are lanes.</param>
    /// <param name="weights">Summed weights of the sub-blocks.</param>
    /// <param name="count">Sub-blocks.</param>
    /// <param name="maxCode">Largest code.</param>
    /// <param name="codes">Receives the codes.</param>
    /// <returns>The scales of the scales.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static T Fit<T>(float* x, float* weights, int count, int maxCode, float* codes)
        where T : struct, ILanes<T>
    {
        nint end = (nint)count * T.Count;
        T zero = T.Create(0);
        T max = Max<T>(x, end);
        T tiny = max < T.Create(SymmetricFit.Tiny);
        T inverse = T.Create(maxCode) / max;
        T best = Error(x, weights, end, inverse, T.Create(float.MaxValue));
        T limit = T.Create(maxCode);
        for (int step = -4; step <= 4; step++)
        {
            if (step == 0)
            {
                continue;
            }

            T candidate = T.Create((0.1f * step) + maxCode) / max;
            T error = Error(x, weights, end, candidate, limit);
            T better = error < best;
            best = T.Select(better, error, best);
            inverse = T.Select(better, candidate, inverse);
        }

        T xl = zero, ll = zero;
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i), w = T.Load(weights + i);
            T l = T.Min(T.NearestInt(inverse * value), limit);
            T.LowByte(l).Store(codes + i);
            xl += w * value * l;
            ll += w * l * l;
        }

        // A round that moves no code of a lane leaves it as it is, and so does the next.
        bool changed = true;
        for (int round = 0; round < 5 && changed; round++)
        {
            T moved = zero;
            for (nint i = 0; i < end; i += T.Count)
            {
                T value = T.Load(x + i), w = T.Load(weights + i), code = T.Load(codes + i);
                T xlOthers = xl - (w * value * code);
                T llOthers = ll - (w * code * code);
                T next = T.Min(T.NearestInt(value * llOthers / xlOthers), limit);
                T xlNew = xlOthers + (w * value * next);
                T llNew = llOthers + (w * next * next);
                T better = (xlOthers > zero) & (llOthers > zero) & (xlNew * xlNew * ll > xl * xl * llNew);
                better = T.Select(T.AreEqual(next, code), zero, better);
                T.Select(better, T.LowByte(next), code).Store(codes + i);
                xl = T.Select(better, xlNew, xl);
                ll = T.Select(better, llNew, ll);
                moved |= better;
            }

            changed = T.Any(T.Select(tiny, zero, moved));
        }

        for (nint i = 0; i < end; i += T.Count)
        {
            T.Select(tiny, zero, T.Load(codes + i)).Store(codes + i);
        }

        return T.Select(tiny, zero, T.Select(ll > zero, xl / ll, zero));
    }

    /// <summary>Divides the range of the scales evenly, as <see cref="AffineSuperBlock.EncodePlain"/> does.</summary>
    /// <param name="x">Sub-block scales or minimums.</param>
    /// <param name="count">Sub-blocks.</param>
    /// <param name="maxCode">Largest code.</param>
    /// <param name="codes">Receives the codes.</param>
    /// <returns>The scales of the scales.</returns>
    public static T DivideEvenly<T>(float* x, int count, int maxCode, float* codes)
        where T : struct, ILanes<T>
    {
        nint end = (nint)count * T.Count;
        T zero = T.Create(0), limit = T.Create(maxCode);
        T max = Max<T>(x, end);
        T inverse = T.Select(max > zero, limit / max, zero);
        for (nint i = 0; i < end; i += T.Count)
        {
            T.Min(T.LowByte(T.NearestInt(inverse * T.Load(x + i))), limit).Store(codes + i);
        }

        return max / limit;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Max<T>(float* x, nint end)
        where T : struct, ILanes<T>
    {
        T max = T.Create(0);
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            max = T.Select(value > max, value, max);
        }

        return max;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Error<T>(float* x, float* weights, nint end, T inverse, T limit)
        where T : struct, ILanes<T>
    {
        T scale = T.Create(1) / inverse;
        T sum = T.Create(0);
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            T error = value - (scale * T.Min(T.NearestInt(inverse * value), limit));
            sum += T.Load(weights + i) * error * error;
        }

        return sum;
    }
}
