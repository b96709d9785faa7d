using System.Runtime.CompilerServices;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>q8_0 with a block in each lane, in the steps of <see cref="BlockQ8_0"/>. Importance changes nothing.</summary>
internal static unsafe class Q8LaneEncoder
{
    private const int Size = 32;

    /// <summary>Encodes rows.</summary>
    [SkipLocalsInit]
    public static void Encode<T>(in EncodeTask task)
        where T : struct, ILanes<T>
    {
        float* x = stackalloc float[Size * T.Count];
        float* scales = stackalloc float[T.Count];
        float* inverses = stackalloc float[T.Count];
        FlatChunk<T> chunk = default;
        T zero = T.Create(0);
        nint blocks = FlatChunk<T>.CountBlocks(task);
        for (nint first = 0; first < blocks; first += T.Count)
        {
            int count = (int)Math.Min(T.Count, blocks - first);
            chunk.Take(task, first, count, x);
            T scale = T.Abs(SymmetricLaneFit.Extreme<T>(x, (nint)Size * T.Count)) / T.Create(127);
            scale.Store(scales);
            T.Select(T.AreEqual(scale, zero), zero, T.Create(1) / scale).Store(inverses);
            for (int lane = 0; lane < count; lane++)
            {
                BlockQ8_0* block = (BlockQ8_0*)task.Blocks + first + lane;
                float* source = chunk.Source(lane);
                block->D = (Half)scales[lane];
                T factor = T.Create(inverses[lane]);
                fixed (sbyte* codes = (Span<sbyte>)block->Qs)
                {
                    for (int i = 0; i < Size; i += T.Count)
                    {
                        (T.Load(source + i) * factor).StoreRounded(codes + i);
                    }
                }
            }
        }
    }
}
