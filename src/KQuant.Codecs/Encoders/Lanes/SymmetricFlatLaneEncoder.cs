using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>q4_0 and q5_0 with a block in each lane, in the steps of <see cref="ISymmetricFlatBlock{TSelf}"/>.</summary>
internal static unsafe class SymmetricFlatLaneEncoder
{
    private const int Size = 32;

    /// <summary>Encodes rows.</summary>
    public static void Encode<TBlock, T>(in EncodeTask task)
        where TBlock : unmanaged, ISymmetricFlatBlock<TBlock>
        where T : struct, ILanes<T>
    {
        if (task.Importance is null)
        {
            EncodePlain<TBlock, T>(task);
            return;
        }

        for (int row = 0; row < task.Rows; row += RowPowers.MaxRows)
        {
            EncodeWeighted<TBlock, T>(task.Slice<TBlock>(row, Math.Min(RowPowers.MaxRows, task.Rows - row)));
        }
    }

    [SkipLocalsInit]
    private static void EncodePlain<TBlock, T>(in EncodeTask task)
        where TBlock : unmanaged, ISymmetricFlatBlock<TBlock>
        where T : struct, ILanes<T>
    {
        float* x = stackalloc float[Size * T.Count];
        float* scales = stackalloc float[T.Count];
        float* inverses = stackalloc float[T.Count];
        byte* codes = stackalloc byte[Size];
        FlatChunk<T> chunk = default;
        T zero = T.Create(0);
        nint blocks = FlatChunk<T>.CountBlocks(task);
        for (nint first = 0; first < blocks; first += T.Count)
        {
            int count = (int)Math.Min(T.Count, blocks - first);
            chunk.Take(task, first, count, x);
            T scale = SymmetricLaneFit.Extreme<T>(x, (nint)Size * T.Count) / T.Create(-TBlock.HalfCodes);
            scale.Store(scales);
            T.Select(T.AreEqual(scale, zero), zero, T.Create(1) / scale).Store(inverses);
            for (int lane = 0; lane < count; lane++)
            {
                Quantize<T>(chunk.Source(lane), inverses[lane], TBlock.HalfCodes, codes);
                ((TBlock*)task.Blocks)[first + lane].Store((Half)scales[lane], new ReadOnlySpan<byte>(codes, Size));
            }
        }
    }

    [SkipLocalsInit]
    private static void EncodeWeighted<TBlock, T>(in EncodeTask task)
        where TBlock : unmanaged, ISymmetricFlatBlock<TBlock>
        where T : struct, ILanes<T>
    {
        float* x = stackalloc float[Size * T.Count];
        float* weights = stackalloc float[Size * T.Count];
        float* scratch = stackalloc float[Size * T.Count];
        float* scales = stackalloc float[T.Count];
        float* inverses = stackalloc float[T.Count];
        float* powers = stackalloc float[RowPowers.MaxRows];
        byte* codes = stackalloc byte[Size];
        FlatChunk<T> chunk = default;
        RowPowers.Compute(task, powers);
        nint blocks = FlatChunk<T>.CountBlocks(task);
        for (nint first = 0; first < blocks; first += T.Count)
        {
            int count = (int)Math.Min(T.Count, blocks - first);
            chunk.Take(task, first, count, x);
            chunk.Weigh(task, first, count, powers, x, weights);
            SymmetricLaneFit.Fit<T, SmallRounding>(x, weights, Size, TBlock.HalfCodes, scratch, scales, inverses);
            for (int lane = 0; lane < count; lane++)
            {
                if (float.IsNaN(inverses[lane]))
                {
                    new Span<byte>(codes, Size).Clear();
                }
                else
                {
                    T inverse = T.Create(inverses[lane]);
                    for (int i = 0; i < Size; i += T.Count)
                    {
                        (inverse * T.Load(chunk.Source(lane) + i)).StoreCodes(-TBlock.HalfCodes, TBlock.HalfCodes - 1, codes + i);
                    }
                }

                ((TBlock*)task.Blocks)[first + lane].Store((Half)scales[lane], new ReadOnlySpan<byte>(codes, Size));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quantize<T>(float* x, float inverse, int half, byte* codes)
        where T : struct, ILanes<T>
    {
        T factor = T.Create(inverse), offset = T.Create(half + 0.5f);
        for (int i = 0; i < Size; i += T.Count)
        {
            ((T.Load(x + i) * factor) + offset).StoreTruncated((2 * half) - 1, codes + i);
        }
    }
}
