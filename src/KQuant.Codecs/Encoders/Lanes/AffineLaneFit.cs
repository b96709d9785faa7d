using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary><see cref="AffineFit.Fit"/> of one group in each lane.</summary>
/// <remarks>
/// The loops are methods of their own, and what goes from one to the other lies in memory: the compiler gives up on inlining the operations
/// of lanes where a method has too many.
/// </remarks>
internal static unsafe class AffineLaneFit
{
    /// <summary>Below this magnitude the nearest integer is that of a rounding; beyond it ggml reads bits that mean nothing.</summary>
    private const float IntegerRange = 4194303f;

    /// <summary>Fits one group in each lane.</summary>
    /// <param name="x">The values, <paramref name="count"/> times as many as there are lanes: the first of each group, the second, ...</param>
    /// <param name="weights">A weight for each.</param>
    /// <param name="count">Values of a group.</param>
    /// <param name="search">The candidates.</param>
    /// <param name="codes">Scratch memory, as large as the values.</param>
    /// <param name="fits">Where the results of the lanes go.</param>
    public static void Fit<T, TNorm>(float* x, float* weights, int count, in AffineSearch search, float* codes, in AffineFits fits)
        where T : struct, ILanes<T>
        where TNorm : struct, IErrorNorm
    {
        State<T> state = default;
        nint end = (nint)count * T.Count;
        Start(x, weights, end, search.MaxCode, ref state);
        Quantize(x, weights, end, codes, ref state);
        Measure<T, TNorm>(x, weights, codes, end, ref state);
        AcceptFirst(ref state);
        for (int step = 0; step <= search.Steps; step++)
        {
            state.Inverse = T.Create(search.First + (search.Step * step) + search.MaxCode) / (state.High - state.Low);
            Quantize(x, weights, end, codes, ref state);
            Solve(ref state);
            Measure<T, TNorm>(x, weights, codes, end, ref state);
            AcceptBetter(ref state);
        }

        Finish(state, fits);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Start<T>(float* x, float* weights, nint end, int maxCode, ref State<T> state)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0);
        T low = T.Load(x);
        T high = low;
        T sumW = T.Load(weights);
        T sumX = sumW * low;
        for (nint i = T.Count; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            T w = T.Load(weights + i);
            low = T.Select(value < low, value, low);
            high = T.Select(value > high, value, high);
            sumW += w;
            sumX += w * value;
        }

        state.Least = low;
        low = T.Select(low > zero, zero, low);
        state.FirstLow = state.Low = low;
        state.High = high;
        state.Active = high > low;
        state.SumW = sumW;
        state.SumX = sumX;
        state.MaxCode = T.Create(maxCode);
        state.Inverse = state.MaxCode / (high - low);
        state.NewScale = T.Create(1) / state.Inverse;
        state.NewLow = low;
    }

    /// <summary>The codes of one candidate, as numbers, and their weighted sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Quantize<T>(float* x, float* weights, nint end, float* codes, ref State<T> state)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0), sumL = zero, sumLL = zero, sumXL = zero;
        T inverse = state.Inverse, low = state.Low, maxCode = state.MaxCode;

        // The arguments of the roundings lie between these two, because float operations are monotonic.
        T range = T.Create(IntegerRange);
        T bounded = (T.Abs(inverse * (state.Least - low)) < range) & (T.Abs(inverse * (state.High - low)) < range);
        if (T.Any(T.Select(bounded, zero, state.Active)))
        {
            for (nint i = 0; i < end; i += T.Count)
            {
                T value = T.Load(x + i);
                T code = T.Max(T.Min(T.NearestInt(inverse * (value - low)), maxCode), zero);
                code.Store(codes + i);
                T weighted = T.Load(weights + i) * code;
                sumL += weighted;
                sumLL += weighted * code;
                sumXL += weighted * value;
            }
        }
        else
        {
            for (nint i = 0; i < end; i += T.Count)
            {
                T value = T.Load(x + i);
                T code = T.Max(T.Min(T.NearestSmallInt(inverse * (value - low)), maxCode), zero);
                code.Store(codes + i);
                T weighted = T.Load(weights + i) * code;
                sumL += weighted;
                sumLL += weighted * code;
                sumXL += weighted * value;
            }
        }

        state.SumL = sumL;
        state.SumLL = sumLL;
        state.SumXL = sumXL;
    }

    /// <summary>The best scale and minimum for the codes, and whether there are such.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Solve<T>(ref State<T> state)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0);
        T sumW = state.SumW, sumX = state.SumX, sumL = state.SumL, sumLL = state.SumLL, sumXL = state.SumXL;
        T determinant = (sumW * sumLL) - (sumL * sumL);
        T newScale = ((sumW * sumXL) - (sumX * sumL)) / determinant;
        T newLow = ((sumLL * sumX) - (sumL * sumXL)) / determinant;
        T positive = newLow > zero;
        if (T.Any(positive))
        {
            newLow = T.Select(positive, zero, newLow);
            newScale = T.Select(positive, sumXL / sumLL, newScale);
        }

        state.Solvable = determinant > zero;
        state.NewScale = newScale;
        state.NewLow = newLow;
    }

    /// <summary>The error of the codes with the new scale and minimum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Measure<T, TNorm>(float* x, float* weights, float* codes, nint end, ref State<T> state)
        where T : struct, ILanes<T>
        where TNorm : struct, IErrorNorm
    {
        T scale = state.NewScale, low = state.NewLow;
        T sum = T.Create(0);
        for (nint i = 0; i < end; i += T.Count)
        {
            T error = (scale * T.Load(codes + i)) + low - T.Load(x + i);
            sum += T.Load(weights + i) * TNorm.Of(error);
        }

        state.Error = sum;
    }

    private static void AcceptFirst<T>(ref State<T> state)
        where T : struct, ILanes<T>
    {
        state.BestError = state.Error;
        state.Scale = state.NewScale;
        state.BestInverse = state.Inverse;
        state.BestLow = state.Low;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void AcceptBetter<T>(ref State<T> state)
        where T : struct, ILanes<T>
    {
        T better = state.Solvable & (state.Error < state.BestError);
        state.BestError = T.Select(better, state.Error, state.BestError);
        state.Scale = T.Select(better, state.NewScale, state.Scale);
        state.BestInverse = T.Select(better, state.Inverse, state.BestInverse);
        state.BestLow = T.Select(better, state.Low, state.BestLow);
        state.Low = T.Select(better, state.NewLow, state.Low);
    }

    private static void Finish<T>(in State<T> state, in AffineFits fits)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0);
        T.Select(state.Active, state.Scale, zero).Store(fits.Scales);
        (T.Create(float.NegativeZero) - T.Select(state.Active, state.Low, state.FirstLow)).Store(fits.Mins);
        T.Select(state.Active, state.BestInverse, zero).Store(fits.Inverses);
        state.BestLow.Store(fits.Lows);
    }

    private struct State<T>
        where T : struct, ILanes<T>
    {
        /// <summary>The range of the values, its lower end before and after it was made to include zero.</summary>
        public T Least, FirstLow, High;

        /// <summary>Where there is anything to fit.</summary>
        public T Active;

        public T MaxCode, SumW, SumX;

        /// <summary>The candidate: what its codes are made of, and their sums.</summary>
        public T Inverse, Low, SumL, SumLL, SumXL;

        /// <summary>What becomes of it.</summary>
        public T Solvable, NewScale, NewLow, Error;

        /// <summary>The best so far; its minimum is <see cref="Low"/>.</summary>
        public T BestError, Scale, BestInverse, BestLow;
    }
}
