using System.Runtime.CompilerServices;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>q6_K with a super-block in each lane, in the steps of <see cref="BlockQ6_K"/>.</summary>
internal static unsafe class Q6LaneEncoder
{
    private const int Size = 16;
    private const int Subs = 16;
    private const int Half = 32;

    /// <summary>Encodes rows.</summary>
    public static void Encode<T>(in EncodeTask task)
        where T : struct, ILanes<T>
    {
        nint blocks = task.RowLength / 256 * (nint)task.Rows;
        for (nint first = 0; first < blocks; first += T.Count)
        {
            EncodeChunk<T>(task, first, (int)Math.Min(T.Count, blocks - first));
        }
    }

    [SkipLocalsInit]
    private static void EncodeChunk<T>(in EncodeTask task, nint first, int count)
        where T : struct, ILanes<T>
    {
        float* x = stackalloc float[Size * T.Count];
        float* weights = stackalloc float[Size * T.Count];
        float* scratch = stackalloc float[Size * T.Count];
        float* scales = stackalloc float[Subs * T.Count];
        float* inverses = stackalloc float[Subs * T.Count];
        float* d = stackalloc float[T.Count];
        SuperBlockChunk<T, T> chunk = default;
        chunk.Take(task, first, count);
        for (int s = 0; s < Subs; s++)
        {
            chunk.LoadWeights(s, Size, x);
            if (task.Importance is null)
            {
                LaneWeights.Squares<T>(x, Size, weights);
            }
            else
            {
                chunk.LoadImportance(s, Size, weights);
            }

            SymmetricLaneFit.Fit<T, SmallRounding>(x, weights, Size, Half, scratch, scales + (s * T.Count), inverses + (s * T.Count));
        }

        T extreme = SymmetricLaneFit.Extreme<T>(scales, (nint)Subs * T.Count);
        T inverse = T.Create(-128) / extreme;
        T tiny = T.Abs(extreme) < T.Create(SymmetricFit.Tiny);
        T.Select(tiny, T.Create(float.NaN), T.Create(1) / inverse).Store(d);
        for (int s = 0; s < Subs; s++)
        {
            T.Min(T.NearestInt(inverse * T.Load(scales + (s * T.Count))), T.Create(127)).Store(scales + (s * T.Count));
        }

        for (int lane = 0; lane < count; lane++)
        {
            Pack<T>(chunk.Source(lane), d[lane], scales + lane, inverses + lane, ref ((BlockQ6_K*)task.Blocks)[first + lane]);
        }
    }

    /// <summary>
    /// The codes for the scales as a decoder will see them; those of the fit where a scale became zero. NaN for the scale of scales stands for
    /// a block of zeros.
    /// </summary>
    [SkipLocalsInit]
    private static void Pack<T>(float* x, float scaleOfScales, float* scales, float* inverses, ref BlockQ6_K block)
        where T : struct, ILanes<T>
    {
        if (float.IsNaN(scaleOfScales))
        {
            block = default;
            return;
        }

        byte* codes = stackalloc byte[256];
        block.D = (System.Half)scaleOfScales;
        float d = (float)block.D;
        for (int s = 0; s < Subs; s++)
        {
            block.Scales[s] = (sbyte)(int)scales[s * T.Count];
            float scale = d * block.Scales[s];
            float* values = x + (s * Size);
            byte* group = codes + (s * Size);
            if (scale != 0)
            {
                T divisor = T.Create(scale);
                for (int i = 0; i < Size; i += T.Count)
                {
                    (T.Load(values + i) / divisor).StoreCodes(-Half, Half - 1, group + i);
                }
            }
            else if (float.IsNaN(inverses[s * T.Count]))
            {
                new Span<byte>(group, Size).Clear();
            }
            else
            {
                T inverse = T.Create(inverses[s * T.Count]);
                for (int i = 0; i < Size; i += T.Count)
                {
                    (inverse * T.Load(values + i)).StoreCodes(-Half, Half - 1, group + i);
                }
            }
        }

        block.Pack(new ReadOnlySpan<byte>(codes, 256));
    }
}
