using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders.Lanes;

/// <summary><see cref="ErrorWeights"/> of one group in each lane.</summary>
internal static unsafe class LaneWeights
{
    /// <summary>Importance becomes weights: <c>importance * sqrt(power + x * x)</c>.</summary>
    /// <param name="x">The values of the groups.</param>
    /// <param name="count">Values of a group.</param>
    /// <param name="power">What is added to the squares.</param>
    /// <param name="weights">Importance; receives the weights.</param>
    /// <returns>Sums of the weights.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static T FromImportance<T>(float* x, int count, T power, float* weights)
        where T : struct, ILanes<T>
    {
        nint end = (nint)count * T.Count;
        T sum = T.Create(0);
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            T weight = T.Load(weights + i) * T.Sqrt(power + (value * value));
            weight.Store(weights + i);
            sum += weight;
        }

        return sum;
    }

    /// <summary><c>x * x</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Squares<T>(float* x, int count, float* weights)
        where T : struct, ILanes<T>
    {
        nint end = (nint)count * T.Count;
        for (nint i = 0; i < end; i += T.Count)
        {
            T value = T.Load(x + i);
            (value * value).Store(weights + i);
        }
    }

    /// <summary><c>offset + |x|</c>, where the offset is the root of the mean square of the group, or 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Magnitudes<T>(float* x, int count, bool bySpread, float* weights)
        where T : struct, ILanes<T>
    {
        nint end = (nint)count * T.Count;
        T offset = T.Create(0);
        if (bySpread)
        {
            T sum = offset;
            for (nint i = 0; i < end; i += T.Count)
            {
                T value = T.Load(x + i);
                sum += value * value;
            }

            offset = T.Sqrt(sum / T.Create(count));
        }

        for (nint i = 0; i < end; i += T.Count)
        {
            (offset + T.Abs(T.Load(x + i))).Store(weights + i);
        }
    }
}
