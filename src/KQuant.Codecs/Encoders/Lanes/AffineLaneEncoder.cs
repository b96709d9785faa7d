using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>q2_K, q4_K and q5_K with a super-block in each lane, in the steps of <see cref="AffineSuperBlock"/>.</summary>
internal static unsafe class AffineLaneEncoder
{
    /// <summary>Encodes rows.</summary>
    /// <typeparam name="TBlock">The block.</typeparam>
    /// <typeparam name="T">Lanes of super-blocks.</typeparam>
    /// <typeparam name="TGroup">Lanes of sub-blocks that are fitted together.</typeparam>
    public static void Encode<TBlock, T, TGroup>(in EncodeTask task)
        where TBlock : unmanaged, IAffineBlock<TBlock>
        where T : struct, ILanes<T>
        where TGroup : struct, ILanes<TGroup>
    {
        nint blocks = task.RowLength / 256 * (nint)task.Rows;
        for (nint first = 0; first < blocks; first += T.Count)
        {
            EncodeChunk<TBlock, T, TGroup>(task, first, (int)Math.Min(T.Count, blocks - first));
        }
    }

    [SkipLocalsInit]
    private static void EncodeChunk<TBlock, T, TGroup>(in EncodeTask task, nint first, int count)
        where TBlock : unmanaged, IAffineBlock<TBlock>
        where T : struct, ILanes<T>
        where TGroup : struct, ILanes<TGroup>
    {
        AffineLayout layout = TBlock.Layout;
        int size = layout.GroupSize;
        bool weighted = task.Importance is not null;
        AffineSearch search = weighted ? layout.WeightedSearch : layout.PlainSearch;

        int groupValues = size * TGroup.Count, results = layout.Groups * T.Count;
        float* x = stackalloc float[256 * T.Count];
        float* weights = stackalloc float[groupValues];
        float* scratch = stackalloc float[groupValues];
        float* groupWeights = stackalloc float[results];
        float* powers = stackalloc float[TGroup.Count];
        float* scaleCodes = stackalloc float[results];
        float* minCodes = stackalloc float[results];
        float* fitted = stackalloc float[4 * results];
        var fits = new AffineFits(fitted, fitted + results, fitted + (2 * results), fitted + (3 * results));

        SuperBlockChunk<T, TGroup> chunk = default;
        chunk.Take(task, first, count);
        int groups = layout.Groups * T.Count / TGroup.Count;
        for (int group = 0; group < groups; group++)
        {
            chunk.LoadWeights(group, size, x + (group * groupValues));
        }

        if (weighted)
        {
            T power = T.Create(layout.PowerFactor) * SuperBlockChunk<T, TGroup>.SumOfSquares(x, size) / T.Create(256);
            for (int lane = 0; lane < TGroup.Count; lane += T.Count)
            {
                power.Store(powers + lane);
            }
        }

        for (int group = 0; group < groups; group++)
        {
            float* values = x + (group * groupValues);
            if (weighted)
            {
                chunk.LoadImportance(group, size, weights);
                LaneWeights.FromImportance(
                    values, size, TGroup.Load(powers), weights).Store(groupWeights + (group * TGroup.Count));
            }
            else
            {
                LaneWeights.Magnitudes<TGroup>(values, size, layout.WeighsBySpread, weights);
            }

            AffineFits groupFits = fits.Skip(group * TGroup.Count);
            if (search.AbsoluteError)
            {
                AffineLaneFit.Fit<TGroup, AbsoluteNorm>(values, weights, size, search, scratch, groupFits);
            }
            else
            {
                AffineLaneFit.Fit<TGroup, SquaredNorm>(values, weights, size, search, scratch, groupFits);
            }
        }

        float* scales = stackalloc float[T.Count];
        float* mins = stackalloc float[T.Count];
        (weighted
            ? ScaleLaneFit.Fit<T>(fits.Scales, groupWeights, layout.Groups, layout.MaxScale, scaleCodes)
            : ScaleLaneFit.DivideEvenly<T>(fits.Scales, layout.Groups, layout.MaxScale, scaleCodes)).Store(scales);
        (weighted
            ? ScaleLaneFit.Fit<T>(fits.Mins, groupWeights, layout.Groups, layout.MaxScale, minCodes)
            : ScaleLaneFit.DivideEvenly<T>(fits.Mins, layout.Groups, layout.MaxScale, minCodes)).Store(mins);

        AffineSuperBlock block = default;
        var destination = new Span<TBlock>((TBlock*)task.Blocks + first, count);
        for (int lane = 0; lane < count; lane++)
        {
            block.D = (Half)scales[lane];
            block.DMin = (Half)mins[lane];
            for (int s = 0; s < layout.Groups; s++)
            {
                block.Scales[s] = (byte)scaleCodes[(s * T.Count) + lane];
                block.Mins[s] = (byte)minCodes[(s * T.Count) + lane];
            }

            Quantize<T>(chunk.Source(lane), layout, fits.Skip(lane), ref block);
            destination[lane].Store(block);
        }
    }

    /// <summary>The codes for the scales as a decoder will see them; those of the fit where a scale became zero.</summary>
    private static void Quantize<T>(float* x, in AffineLayout layout, in AffineFits fits, ref AffineSuperBlock block)
        where T : struct, ILanes<T>
    {
        float d = (float)block.D, dmin = (float)block.DMin;
        fixed (byte* codes = (Span<byte>)block.Codes)
        {
            for (int s = 0; s < layout.Groups; s++)
            {
                float scale = d * block.Scales[s];
                int start = s * layout.GroupSize, end = start + layout.GroupSize;
                if (scale != 0)
                {
                    T divisor = T.Create(scale), min = T.Create(dmin * block.Mins[s]);
                    for (int i = start; i < end; i += T.Count)
                    {
                        ((T.Load(x + i) + min) / divisor).StoreCodes(0, layout.MaxCode, codes + i);
                    }
                }
                else
                {
                    T inverse = T.Create(fits.Inverses[s * T.Count]), low = T.Create(fits.Lows[s * T.Count]);
                    for (int i = start; i < end; i += T.Count)
                    {
                        (inverse * (T.Load(x + i) - low)).StoreCodes(0, layout.MaxCode, codes + i);
                    }
                }
            }
        }
    }
}
