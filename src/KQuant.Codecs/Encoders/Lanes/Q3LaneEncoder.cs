using System.Runtime.CompilerServices;
using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>q3_K with a super-block in each lane, in the steps of <see cref="BlockQ3_K"/>.</summary>
internal static unsafe class Q3LaneEncoder
{
    private const int Size = 16;
    private const int Subs = 16;
    private const int Half = 4;

    /// <summary>Encodes rows.</summary>
    /// <typeparam name="T">Lanes of super-blocks.</typeparam>
    /// <typeparam name="TGroup">Lanes of sub-blocks whose codes are moved together.</typeparam>
    public static void Encode<T, TGroup>(in EncodeTask task)
        where T : struct, ILanes<T>
        where TGroup : struct, ILanes<TGroup>
    {
        nint blocks = task.RowLength / 256 * (nint)task.Rows;
        for (nint first = 0; first < blocks; first += T.Count)
        {
            int count = (int)Math.Min(T.Count, blocks - first);
            if (task.Importance is null)
            {
                EncodePlain<T, TGroup>(task, first, count);
            }
            else
            {
                EncodeWeighted<T>(task, first, count);
            }
        }
    }

    [SkipLocalsInit]
    private static void EncodePlain<T, TGroup>(in EncodeTask task, nint first, int count)
        where T : struct, ILanes<T>
        where TGroup : struct, ILanes<TGroup>
    {
        float* x = stackalloc float[Size * TGroup.Count];
        float* scratch = stackalloc float[Size * TGroup.Count];
        float* scales = stackalloc float[Subs * T.Count];
        float* scaleCodes = stackalloc float[Subs * T.Count];
        float* d = stackalloc float[T.Count];
        SuperBlockChunk<T, TGroup> chunk = default;
        chunk.Take(task, first, count);
        for (int group = 0; group < Subs * T.Count / TGroup.Count; group++)
        {
            chunk.LoadWeights(group, Size, x);
            SymmetricLaneFit.FitByRounds<TGroup>(x, Size, Half, scratch, scales + (group * TGroup.Count));
        }

        DivideEvenly<T>(scales, scaleCodes).Store(d);
        for (int lane = 0; lane < count; lane++)
        {
            Pack<T>(chunk.Source(lane), d[lane], scaleCodes + lane, null, ref ((BlockQ3_K*)task.Blocks)[first + lane]);
        }
    }

    [SkipLocalsInit]
    private static void EncodeWeighted<T>(in EncodeTask task, nint first, int count)
        where T : struct, ILanes<T>
    {
        float* x = stackalloc float[256 * T.Count];
        float* weights = stackalloc float[Size * T.Count];
        float* scratch = stackalloc float[Size * T.Count];
        float* scales = stackalloc float[Subs * T.Count];
        float* inverses = stackalloc float[Subs * T.Count];
        float* groupWeights = stackalloc float[Subs * T.Count];
        float* scaleCodes = stackalloc float[Subs * T.Count];
        float* d = stackalloc float[T.Count];
        float* scaleInverses = stackalloc float[T.Count];
        SuperBlockChunk<T, T> chunk = default;
        chunk.Take(task, first, count);
        for (int s = 0; s < Subs; s++)
        {
            chunk.LoadWeights(s, Size, x + (s * Size * T.Count));
        }

        T power = T.Create(2) * SuperBlockChunk<T, T>.SumOfSquares(x, Size) / T.Create(256);
        for (int s = 0; s < Subs; s++)
        {
            float* values = x + (s * Size * T.Count);
            chunk.LoadImportance(s, Size, weights);
            LaneWeights.FromImportance(values, Size, power, weights).Store(groupWeights + (s * T.Count));
            SymmetricLaneFit.Fit<T, SmallRounding>(
                values, weights, Size, Half, scratch, scales + (s * T.Count), inverses + (s * T.Count));
        }

        SymmetricLaneFit.Fit<T, AnyRounding>(scales, groupWeights, Subs, 32, scratch, d, scaleInverses);
        T inverse = T.Load(scaleInverses);
        T isNumber = T.AreEqual(inverse, inverse);
        for (int s = 0; s < Subs; s++)
        {
            T.Select(isNumber, ScaleCode(inverse * T.Load(scales + (s * T.Count))), T.Create(0)).Store(scaleCodes + (s * T.Count));
        }

        for (int lane = 0; lane < count; lane++)
        {
            Pack<T>(chunk.Source(lane), d[lane], scaleCodes + lane, inverses + lane, ref ((BlockQ3_K*)task.Blocks)[first + lane]);
        }
    }

    private static T DivideEvenly<T>(float* scales, float* scaleCodes)
        where T : struct, ILanes<T>
    {
        T zero = T.Create(0);
        T extreme = SymmetricLaneFit.Extreme<T>(scales, (nint)Subs * T.Count);
        T none = T.AreEqual(extreme, zero);
        T inverse = T.Create(-32) / extreme;
        for (int s = 0; s < Subs; s++)
        {
            T.Select(none, zero, ScaleCode(inverse * T.Load(scales + (s * T.Count)))).Store(scaleCodes + (s * T.Count));
        }

        return T.Select(none, zero, T.Create(1) / inverse);
    }

    private static T ScaleCode<T>(T value)
        where T : struct, ILanes<T> => T.Max(T.Min(T.NearestInt(value), T.Create(31)), T.Create(-32)) + T.Create(32);

    /// <summary>The codes for the scales as a decoder will see them; those of the fit where a scale became zero.</summary>
    [SkipLocalsInit]
    private static void Pack<T>(float* x, float scaleOfScales, float* scales, float* inverses, ref BlockQ3_K block)
        where T : struct, ILanes<T>
    {
        byte* codes = stackalloc byte[256];
        byte* scaleCodes = stackalloc byte[Subs];
        var d = (System.Half)scaleOfScales;
        for (int s = 0; s < Subs; s++)
        {
            scaleCodes[s] = (byte)scales[s * T.Count];
            float scale = (float)d * (scaleCodes[s] - 32);
            float* values = x + (s * Size);
            var group = new Span<byte>(codes + (s * Size), Size);
            if (scale != 0)
            {
                T divisor = T.Create(scale);
                for (int i = 0; i < Size; i += T.Count)
                {
                    (T.Load(values + i) / divisor).StoreCodes(-Half, Half - 1, codes + (s * Size) + i);
                }
            }
            else if (inverses is null)
            {
                SymmetricFit.FitByRounds(new ReadOnlySpan<float>(values, Size), Half, group);
            }
            else if (float.IsNaN(inverses[s * T.Count]))
            {
                group.Clear();
            }
            else
            {
                T inverse = T.Create(inverses[s * T.Count]);
                for (int i = 0; i < Size; i += T.Count)
                {
                    (inverse * T.Load(values + i)).StoreCodes(-Half, Half - 1, codes + (s * Size) + i);
                }
            }
        }

        block.Pack(d, new ReadOnlySpan<byte>(scaleCodes, Subs), new ReadOnlySpan<byte>(codes, 256));
    }
}
