using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary><see cref="SymmetricFit"/> of one group in each lane.</summary>
internal static unsafe class SymmetricLaneFit
{
    private const int LastStep = 9;

    /// <summary><see cref="SymmetricFit.Fit"/>.</summary>
    /// <typeparam name="T">The lanes.</typeparam>
    /// <typeparam name="TRounding">
    /// <see cref="SmallRounding"/> for finite values, which candidates map to codes and little more; <see cref="AnyRounding"/> otherwise.
    /// </typeparam>
    /// <param name="x">The values, <paramref name="count"/> times as many as there are lanes.</param>
    /// <param name="weights">A weight for each.</param>
    /// <param name="count">Values of a group.</param>
    /// <param name="half">Half the number of codes.</param>
    /// <param name="products">Scratch memory, as large as the values.</param>
    /// <param name="scales">Receives the scales of the lanes.</param>
    /// <param name="inverses">Receives what the values were multiplied with to get their codes; NaN where all codes are 0.</param>
    public static void Fit<T, TRounding>(
        float* x, float* weights, int count, int half, float* products, float* scales, float* inverses)
        where T : struct, ILanes<T>
        where TRounding : struct, IRounding
    {
        State<T> state = default;
        nint end = (nint)count * T.Count;
        state.Extreme = Extreme<T>(x, end);
        state.Half = T.Create(half);
        Multiply<T>(x, weights, end, products);

        // Two candidates at once, because they do not depend on each other. The last one gets two turns, which changes nothing.
        state.First.Inverse = T.Create(-half) / state.Extreme;
        state.Second.Inverse = Numerator<T>(half, 0) / state.Extreme;
        Measure<T, TRounding>(x, weights, products, end, ref state);
        AcceptFirst(ref state);
        AcceptBetter(ref state, state.Second);
        for (int i = 1; i < 2 * LastStep; i += 2)
        {
            state.First.Inverse = Numerator<T>(half, i) / state.Extreme;
            state.Second.Inverse = Numerator<T>(half, Math.Min(i + 1, (2 * LastStep) - 1)) / state.Extreme;
            Measure<T, TRounding>(x, weights, products, end, ref state);
            AcceptBetter(ref state, state.First);
            AcceptBetter(ref state, state.Second);
        }

        T zero = T.Create(0);
        T tiny = T.Abs(state.Extreme) < T.Create(SymmetricFit.Tiny);
        T.Select(tiny, zero, state.Scale).Store(scales);
        T.Select(tiny, T.Create(float.NaN), state.BestInverse).Store(inverses);
    }

    /// <summary><see cref="SymmetricFit.FitByRounds"/>, without the codes.</summary>
    /// <param name="x">The values.</param>
    /// <param name="count">Values of a group.</param>
    /// <param name="half">Half the number of codes.</param>
    /// <param name="codes">Scratch memory, as large as the values.</param>
    /// <param name="scales">Receives the scales of the lanes.</param>
    public static void FitByRounds<T>(float* x, int count, int half, float* codes, float* scales)
        where T : struct, ILanes<T>
    {
        nint end = (nint)count * T.Count;
        T extreme = Extreme<T>(x, end);
        T tiny = T.Abs(extreme) < T.Create(SymmetricFit.Tiny);
        T inverse = T.Create(-half) / extreme;
        RoundState<T> state = default;
        state.Low = T.Create(-half);
        state.High = T.Create(half - 1);
        state.Counts = T.AreEqual(T.Select(tiny, T.Create(1), T.Create(0)), T.Create(0));
        StartRounds(x, end, inverse, codes, ref state);

        // A round that moves no code of a lane leaves it as it is, and so does the next.
        for (int round = 0; round < 5; round++)
        {
            if (!MoveCodes(x, end, codes, ref state))
            {
                break;
            }
        }

        T zero = T.Create(0);
        T.Select(tiny, zero, T.Select(state.LL > zero, state.XL / state.LL, zero)).Store(scales);
    }

    /// <summary><see cref="SymmetricFit.Extreme"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static T Extreme<T>(float* x, nint end)
        where T : struct, ILanes<T>
    {
        T magnitude = T.Create(0), extreme = magnitude;
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            T larger = T.Abs(value) > magnitude;
            magnitude = T.Select(larger, T.Abs(value), magnitude);
            extreme = T.Select(larger, value, extreme);
        }

        return extreme;
    }

    /// <summary>Of the candidates from -9 to 9 without 0, the one with an index: what is divided by the largest value.</summary>
    private static T Numerator<T>(int half, int index)
        where T : struct, ILanes<T>
    {
        int step = index - LastStep;
        step += step >= 0 ? 1 : 0;
        return T.Create(-(half + (0.1f * step)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Multiply<T>(float* x, float* weights, nint end, float* products)
        where T : struct, ILanes<T>
    {
        for (nint i = 0; i < end; i += T.Count)
        {
            (T.Load(weights + i) * T.Load(x + i)).Store(products + i);
        }
    }

    /// <summary>Weighted sums of x * q and q * q for the codes of two candidates.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Measure<T, TRounding>(float* x, float* weights, float* products, nint end, ref State<T> state)
        where T : struct, ILanes<T>
        where TRounding : struct, IRounding
    {
        T zero = T.Create(0), xl1 = zero, ll1 = zero, xl2 = zero, ll2 = zero;
        T low = zero - state.Half, high = state.Half - T.Create(1);
        T inverse1 = state.First.Inverse, inverse2 = state.Second.Inverse;
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i), product = T.Load(products + i), w = T.Load(weights + i);
            T code1 = T.Max(T.Min(TRounding.NearestInt(inverse1 * value), high), low);
            T code2 = T.Max(T.Min(TRounding.NearestInt(inverse2 * value), high), low);
            xl1 += product * code1;
            ll1 += w * code1 * code1;
            xl2 += product * code2;
            ll2 += w * code2 * code2;
        }

        state.First.XL = xl1;
        state.First.LL = ll1;
        state.Second.XL = xl2;
        state.Second.LL = ll2;
    }

    private static void AcceptFirst<T>(ref State<T> state)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0);
        state.Scale = T.Select(T.AreEqual(state.First.LL, zero), zero, state.First.XL / state.First.LL);
        state.Best = state.Scale * state.First.XL;
        state.BestInverse = state.First.Inverse;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void AcceptBetter<T>(ref State<T> state, in Candidate<T> candidate)
        where T : struct, ILanes<T>
    {
        T xl = candidate.XL, ll = candidate.LL;
        T better = (ll > T.Create(0)) & (xl * xl > state.Best * ll);
        T scale = xl / ll;
        state.BestInverse = T.Select(better, candidate.Inverse, state.BestInverse);
        state.Scale = T.Select(better, scale, state.Scale);
        state.Best = T.Select(better, scale * xl, state.Best);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void StartRounds<T>(float* x, nint end, T inverse, float* codes, ref RoundState<T> state)
        where T : struct, ILanes<T>
    {
        T xl = T.Create(0), ll = xl, low = state.Low, high = state.High;
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            T code = T.Max(T.Min(T.NearestSmallInt(inverse * value), high), low);
            code.Store(codes + i);
            T w = value * value;
            xl += w * value * code;
            ll += w * code * code;
        }

        state.XL = xl;
        state.LL = ll;
    }

    /// <summary>One round; false if it moved nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static bool MoveCodes<T>(float* x, nint end, float* codes, ref RoundState<T> state)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0), moved = zero, xl = state.XL, ll = state.LL, low = state.Low, high = state.High;
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i), code = T.Load(codes + i);
            T w = value * value;
            T wx = w * value;
            T xlOthers = xl - (wx * code);
            T llOthers = ll - (w * code * code);
            T next = T.Max(T.Min(T.NearestInt(value * llOthers / xlOthers), high), low);
            T xlNew = xlOthers + (wx * next);
            T llNew = llOthers + (w * next * next);
            T better = (xlOthers > zero) & (llNew > zero) & (xlNew * xlNew * ll > xl * xl * llNew);
            better = T.Select(T.AreEqual(next, code), zero, better);
            T.Select(better, next, code).Store(codes + i);
            xl = T.Select(better, xlNew, xl);
            ll = T.Select(better, llNew, ll);
            moved |= better;
        }

        state.XL = xl;
        state.LL = ll;
        return T.Any(moved & state.Counts);
    }

    private struct Candidate<T>
        where T : struct, ILanes<T>
    {
        public T Inverse, XL, LL;
    }

    private struct State<T>
        where T : struct, ILanes<T>
    {
        public T Extreme, Half;

        public Candidate<T> First, Second;

        /// <summary>The best so far.</summary>
        public T Scale, Best, BestInverse;
    }

    private struct RoundState<T>
        where T : struct, ILanes<T>
    {
        /// <summary>The range of codes.</summary>
        public T Low, High;

        /// <summary>Where there is anything to fit.</summary>
        public T Counts;

        public T XL, LL;
    }
}
