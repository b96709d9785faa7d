using System.Runtime.CompilerServices;

namespace KQuant.Models.Transformers;

/// <summary>
/// <see cref="AttentionKernel"/> with vectors. A value of a query is broadcast and meets the keys of several positions, so nothing is
/// added up across lanes; four rows of queries share every load of keys and values.
/// </summary>
internal sealed unsafe class VectorAttentionKernel<TLanes>(string name, bool isSupported) : AttentionKernel
    where TLanes : struct, ILanes<TLanes>
{
    public override string Name => name;

    public override bool IsSupported => isSupported;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Score(float* queries, nint stride, float* keys, int size, float* scores, nint scoreStride)
    {
        float* query1 = queries + stride;
        float* query2 = query1 + stride;
        float* query3 = query2 + stride;
        for (int lane = 0; lane < LayerCache.BlockSize; lane += TLanes.Count)
        {
            // Two sums for every row hide the latency of the multiply-adds.
            TLanes a0 = default, a1 = default, a2 = default, a3 = default;
            TLanes b0 = default, b1 = default, b2 = default, b3 = default;
            float* key = keys + lane;
            int i = 0;
            for (; i <= size - 2; i += 2)
            {
                TLanes k = TLanes.Load(key);
                a0 = TLanes.MultiplyAdd(TLanes.Broadcast(queries + i), k, a0);
                a1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i), k, a1);
                a2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i), k, a2);
                a3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i), k, a3);
                k = TLanes.Load(key + LayerCache.BlockSize);
                b0 = TLanes.MultiplyAdd(TLanes.Broadcast(queries + i + 1), k, b0);
                b1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i + 1), k, b1);
                b2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i + 1), k, b2);
                b3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i + 1), k, b3);
                key += 2 * LayerCache.BlockSize;
            }

            if (i < size)
            {
                TLanes k = TLanes.Load(key);
                a0 = TLanes.MultiplyAdd(TLanes.Broadcast(queries + i), k, a0);
                a1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i), k, a1);
                a2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i), k, a2);
                a3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i), k, a3);
            }

            TLanes.Add(a0, b0).Store(scores + lane);
            TLanes.Add(a1, b1).Store(scores + scoreStride + lane);
            TLanes.Add(a2, b2).Store(scores + (2 * scoreStride) + lane);
            TLanes.Add(a3, b3).Store(scores + (3 * scoreStride) + lane);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Accumulate(float* weights, nint weightStride, float* values, int stride, int count, float* outputs)
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
            float* value = values + column;
            float* weight = weights;
            for (int i = 0; i < count; i++)
            {
                TLanes u = TLanes.Load(value);
                TLanes v = TLanes.Load(value + second);
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
}
