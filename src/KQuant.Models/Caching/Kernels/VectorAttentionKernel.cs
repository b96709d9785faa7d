using System.Runtime.CompilerServices;

namespace KQuant.Models.Caching.Kernels;

/// <summary>
/// <see cref="AttentionKernel"/> with vectors. A value of a query is broadcast and meets the keys of several positions, so nothing is
/// added up across lanes; rows of queries share every load of keys and values.
/// </summary>
internal sealed unsafe class VectorAttentionKernel<TLanes>(string name, bool isSupported) : AttentionKernel
    where TLanes : struct, ILanes<TLanes>
{
    public override string Name => name;

    public override bool IsSupported => isSupported;

    public override void Score(float* queries, int rows, CacheSpan keys, int size, float* scores, nint scoreStride)
    {
        switch (rows, keys.Element)
        {
            case (1, CacheElement.Single): Score<OneRow, FloatElement>(queries, keys, size, scores, scoreStride); break;
            case (2, CacheElement.Single): Score<TwoRows, FloatElement>(queries, keys, size, scores, scoreStride); break;
            case (_, CacheElement.Single): Score<FourRows, FloatElement>(queries, keys, size, scores, scoreStride); break;
            case (1, _): Score<OneRow, HalfElement>(queries, keys, size, scores, scoreStride); break;
            case (2, _): Score<TwoRows, HalfElement>(queries, keys, size, scores, scoreStride); break;
            default: Score<FourRows, HalfElement>(queries, keys, size, scores, scoreStride); break;
        }
    }

    public override void Accumulate(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
    {
        switch (rows, values.Element)
        {
            case (1, CacheElement.Single): AccumulateFew<OneRow, FloatElement>(weights, weightStride, values, stride, count, outputs); break;
            case (2, CacheElement.Single): AccumulateFew<TwoRows, FloatElement>(weights, weightStride, values, stride, count, outputs); break;
            case (_, CacheElement.Single): AccumulateFour<FloatElement>(weights, weightStride, values, stride, count, outputs); break;
            case (1, _): AccumulateFew<OneRow, HalfElement>(weights, weightStride, values, stride, count, outputs); break;
            case (2, _): AccumulateFew<TwoRows, HalfElement>(weights, weightStride, values, stride, count, outputs); break;
            default: AccumulateFour<HalfElement>(weights, weightStride, values, stride, count, outputs); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Score<TRows, TElement>(float* queries, CacheSpan keys, int size, float* scores, nint scoreStride)
        where TRows : struct, IAttentionRows
        where TElement : struct, ICacheElement
    {
        float* query1 = queries + size;
        float* query2 = query1 + size;
        float* query3 = query2 + size;
        for (int lane = 0; lane < BlockSize; lane += TLanes.Count)
        {
            // Two sums for every row hide the latency of the multiply-adds.
            TLanes a0 = default, a1 = default, a2 = default, a3 = default;
            TLanes b0 = default, b1 = default, b2 = default, b3 = default;
            nint key = lane;
            int i = 0;
            for (; i <= size - 2; i += 2)
            {
                TLanes k = TElement.Load<TLanes>(keys, key), l = TElement.Load<TLanes>(keys, key + BlockSize);
                a0 = TLanes.MultiplyAdd(TLanes.Broadcast(queries + i), k, a0);
                b0 = TLanes.MultiplyAdd(TLanes.Broadcast(queries + i + 1), l, b0);
                if (TRows.Count > 1)
                {
                    a1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i), k, a1);
                    b1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i + 1), l, b1);
                }

                if (TRows.Count > 2)
                {
                    a2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i), k, a2);
                    b2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i + 1), l, b2);
                    a3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i), k, a3);
                    b3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i + 1), l, b3);
                }

                key += 2 * BlockSize;
            }

            if (i < size)
            {
                TLanes k = TElement.Load<TLanes>(keys, key);
                a0 = TLanes.MultiplyAdd(TLanes.Broadcast(queries + i), k, a0);
                if (TRows.Count > 1)
                {
                    a1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i), k, a1);
                }

                if (TRows.Count > 2)
                {
                    a2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i), k, a2);
                    a3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i), k, a3);
                }
            }

            TLanes.Add(a0, b0).Store(scores + lane);
            if (TRows.Count > 1)
            {
                TLanes.Add(a1, b1).Store(scores + scoreStride + lane);
            }

            if (TRows.Count > 2)
            {
                TLanes.Add(a2, b2).Store(scores + (2 * scoreStride) + lane);
                TLanes.Add(a3, b3).Store(scores + (3 * scoreStride) + lane);
            }
        }
    }

    /// <summary>Four rows have enough arithmetic for sums to stay in registers, two vectors of columns at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AccumulateFour<TElement>(float* weights, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
        where TElement : struct, ICacheElement
    {
        for (int column = 0; column < stride; column += 2 * TLanes.Count)
        {
            // A stride of 16 with 16 lanes has one vector at the end; it is computed twice into the same place, which is cheaper than a branch.
            int second = column + TLanes.Count < stride ? TLanes.Count : 0;
            float* output = outputs + column;
            TLanes a0 = TLanes.Load(output), b0 = TLanes.Load(output + second);
            TLanes a1 = TLanes.Load(output + stride), b1 = TLanes.Load(output + stride + second);
            TLanes a2 = TLanes.Load(output + (2 * stride)), b2 = TLanes.Load(output + (2 * stride) + second);
            TLanes a3 = TLanes.Load(output + (3 * stride)), b3 = TLanes.Load(output + (3 * stride) + second);
            nint value = column;
            float* weight = weights;
            for (int i = 0; i < count; i++)
            {
                TLanes u = TElement.Load<TLanes>(values, value), v = TElement.Load<TLanes>(values, value + second);
                TLanes w = TLanes.Broadcast(weight);
                a0 = TLanes.MultiplyAdd(w, u, a0);
                b0 = TLanes.MultiplyAdd(w, v, b0);
                w = TLanes.Broadcast(weight + weightStride);
                a1 = TLanes.MultiplyAdd(w, u, a1);
                b1 = TLanes.MultiplyAdd(w, v, b1);
                w = TLanes.Broadcast(weight + (2 * weightStride));
                a2 = TLanes.MultiplyAdd(w, u, a2);
                b2 = TLanes.MultiplyAdd(w, v, b2);
                w = TLanes.Broadcast(weight + (3 * weightStride));
                a3 = TLanes.MultiplyAdd(w, u, a3);
                b3 = TLanes.MultiplyAdd(w, v, b3);
                value += stride;
                weight++;
            }

            a0.Store(output);
            b0.Store(output + second);
            a1.Store(output + stride);
            b1.Store(output + stride + second);
            a2.Store(output + (2 * stride));
            b2.Store(output + (2 * stride) + second);
            a3.Store(output + (3 * stride));
            b3.Store(output + (3 * stride) + second);
        }
    }

    /// <summary>
    /// One or two rows, those of a single token, wait for memory: values are read from the first to the last, four positions side by side,
    /// and sums pass through the nearest cache.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AccumulateFew<TRows, TElement>(
        float* weights, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
        where TRows : struct, IAttentionRows
        where TElement : struct, ICacheElement
    {
        int i = 0;
        for (; i <= count - 4; i += 4)
        {
            float* weight = weights + i;
            TLanes w0 = TLanes.Broadcast(weight), w1 = TLanes.Broadcast(weight + 1);
            TLanes w2 = TLanes.Broadcast(weight + 2), w3 = TLanes.Broadcast(weight + 3);
            float* other = TRows.Count > 1 ? weight + weightStride : weight;
            TLanes x0 = TLanes.Broadcast(other), x1 = TLanes.Broadcast(other + 1);
            TLanes x2 = TLanes.Broadcast(other + 2), x3 = TLanes.Broadcast(other + 3);
            nint value = (nint)i * stride;
            for (int column = 0; column < stride; column += TLanes.Count)
            {
                TLanes v0 = TElement.Load<TLanes>(values, value + column);
                TLanes v1 = TElement.Load<TLanes>(values, value + stride + column);
                TLanes v2 = TElement.Load<TLanes>(values, value + (2 * stride) + column);
                TLanes v3 = TElement.Load<TLanes>(values, value + (3 * stride) + column);
                AddFour(outputs + column, w0, v0, w1, v1, w2, v2, w3, v3);
                if (TRows.Count > 1)
                {
                    AddFour(outputs + stride + column, x0, v0, x1, v1, x2, v2, x3, v3);
                }
            }
        }

        for (; i < count; i++)
        {
            for (int column = 0; column < stride; column += TLanes.Count)
            {
                TLanes v = TElement.Load<TLanes>(values, ((nint)i * stride) + column);
                for (int row = 0; row < TRows.Count; row++)
                {
                    float* output = outputs + (row * stride) + column;
                    TLanes.MultiplyAdd(TLanes.Broadcast(weights + (row * weightStride) + i), v, TLanes.Load(output)).Store(output);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddFour(float* output, TLanes w0, TLanes v0, TLanes w1, TLanes v1, TLanes w2, TLanes v2, TLanes w3, TLanes v3)
    {
        TLanes sum = TLanes.MultiplyAdd(w0, v0, TLanes.Load(output));
        sum = TLanes.MultiplyAdd(w1, v1, sum);
        sum = TLanes.MultiplyAdd(w2, v2, sum);
        TLanes.MultiplyAdd(w3, v3, sum).Store(output);
    }
}
