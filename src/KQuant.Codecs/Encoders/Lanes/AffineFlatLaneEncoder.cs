using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>q4_1 and q5_1 with a block in each lane, in the steps of <see cref="IAffineFlatBlock{TSelf}"/>.</summary>
internal static unsafe class AffineFlatLaneEncoder
{
    private const int Size = 32;

    /// <summary>Encodes rows.</summary>
    /// <typeparam name="TBlock">The block.</typeparam>
    /// <typeparam name="T">Lanes of blocks without importance.</typeparam>
    /// <typeparam name="TGroup">Lanes of blocks with importance.</typeparam>
    public static void Encode<TBlock, T, TGroup>(in EncodeTask task)
        where TBlock : unmanaged, IAffineFlatBlock<TBlock>
        where T : struct, ILanes<T>
        where TGroup : struct, ILanes<TGroup>
    {
        if (task.Importance is null)
        {
            EncodePlain<TBlock, T>(task);
            return;
        }

        for (int row = 0; row < task.Rows; row += RowPowers.MaxRows)
        {
            EncodeWeighted<TBlock, T, TGroup>(task.Slice<TBlock>(row, Math.Min(RowPowers.MaxRows, task.Rows - row)));
        }
    }

    [SkipLocalsInit]
    private static void EncodePlain<TBlock, T>(in EncodeTask task)
        where TBlock : unmanaged, IAffineFlatBlock<TBlock>
        where T : struct, ILanes<T>
    {
        float* x = stackalloc float[Size * T.Count];
        float* scales = stackalloc float[T.Count];
        float* lows = stackalloc float[T.Count];
        float* inverses = stackalloc float[T.Count];
        byte* codes = stackalloc byte[Size];
        FlatChunk<T> chunk = default;
        T zero = T.Create(0), half = T.Create(0.5f);
        nint blocks = FlatChunk<T>.CountBlocks(task);
        for (nint first = 0; first < blocks; first += T.Count)
        {
            int count = (int)Math.Min(T.Count, blocks - first);
            chunk.Take(task, first, count, x);
            Range(x, out T low, out T high);
            T scale = (high - low) / T.Create(TBlock.MaxCode);
            scale.Store(scales);
            low.Store(lows);
            T.Select(T.AreEqual(scale, zero), zero, T.Create(1) / scale).Store(inverses);
            for (int lane = 0; lane < count; lane++)
            {
                T factor = T.Create(inverses[lane]), least = T.Create(lows[lane]);
                for (int i = 0; i < Size; i += T.Count)
                {
                    (((T.Load(chunk.Source(lane) + i) - least) * factor) + half).StoreTruncated(TBlock.MaxCode, codes + i);
                }

                ((TBlock*)task.Blocks)[first + lane].Store((Half)scales[lane], (Half)lows[lane], new ReadOnlySpan<byte>(codes, Size));
            }
        }
    }

    [SkipLocalsInit]
    private static void EncodeWeighted<TBlock, T, TGroup>(in EncodeTask task)
        where TBlock : unmanaged, IAffineFlatBlock<TBlock>
        where T : struct, ILanes<T>
        where TGroup : struct, ILanes<TGroup>
    {
        float* x = stackalloc float[Size * TGroup.Count];
        float* weights = stackalloc float[Size * TGroup.Count];
        float* scratch = stackalloc float[Size * TGroup.Count];
        float* scales = stackalloc float[TGroup.Count];
        float* mins = stackalloc float[TGroup.Count];
        float* inverses = stackalloc float[TGroup.Count];
        float* lows = stackalloc float[TGroup.Count];
        float* powers = stackalloc float[RowPowers.MaxRows];
        byte* codes = stackalloc byte[Size];
        FlatChunk<TGroup> chunk = default;
        RowPowers.Compute(task, powers);
        AffineSearch search = AffineSearch.Weighted(TBlock.MaxCode);
        nint blocks = FlatChunk<TGroup>.CountBlocks(task);
        for (nint first = 0; first < blocks; first += TGroup.Count)
        {
            int count = (int)Math.Min(TGroup.Count, blocks - first);
            chunk.Take(task, first, count, x);
            chunk.Weigh(task, first, count, powers, x, weights);
            AffineLaneFit.Fit<TGroup, SquaredNorm>(
                x, weights, Size, search, scratch, new AffineFits(scales, mins, inverses, lows));
            for (int lane = 0; lane < count; lane++)
            {
                T inverse = T.Create(inverses[lane]), low = T.Create(lows[lane]);
                for (int i = 0; i < Size; i += T.Count)
                {
                    (inverse * (T.Load(chunk.Source(lane) + i) - low)).StoreCodes(0, TBlock.MaxCode, codes + i);
                }

                ((TBlock*)task.Blocks)[first + lane].Store((Half)scales[lane], (Half)(-mins[lane]), new ReadOnlySpan<byte>(codes, Size));
            }
        }
    }

    /// <summary>The least and the largest value, the first of zeros with different signs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Range<T>(float* x, out T low, out T high)
        where T : struct, ILanes<T>
    {
        T least = T.Load(x), largest = least;
        for (nint i = T.Count; i < Size * T.Count; i += T.Count)
        {
            T value = T.Load(x + i);
            least = T.Select(value < least, value, least);
            largest = T.Select(value > largest, value, largest);
        }

        low = least;
        high = largest;
    }
}
