using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using KQuant.Matmul.Floats;

namespace KQuant.Models.Caching.Kernels;

/// <summary>
/// <see cref="AttentionKernel"/> with vectors. A value of a query is broadcast and meets the keys of several slots, so nothing is added up
/// across lanes; rows of queries share every load of keys and values.
/// </summary>
internal sealed unsafe class VectorAttentionKernel<TLanes>(string name, bool isSupported, bool scalesHalves) : AttentionKernel
    where TLanes : struct, ILanes<TLanes>
{
    private const int CacheLine = 64;

    /// <summary>
    /// How far ahead the values of a single token are asked for, in bytes. The processor's own prefetching begins anew at every page, and a
    /// page is no more than a block of keys.
    /// </summary>
    private const int ValuesAhead = 4096;

    /// <summary>The sums of two vectors of slots for four rows, or of four vectors of columns, fit in the registers.</summary>
    private static bool HasWideTiles => TLanes.HasManyRegisters;

    public override string Name => name;

    public override bool IsSupported => isSupported;

    public override AttentionKernel OfScaledHalves =>
        scalesHalves ? this : (field ??= new VectorAttentionKernel<TLanes>(name, isSupported, scalesHalves: true));

    public override void Score(float* queries, int rows, CacheSpan keys, int blocks, int size, float* scores, nint scoreStride)
    {
        switch (keys.Element)
        {
            case CacheElement.Single: Score<FloatElement>(queries, rows, keys, blocks, size, scores, scoreStride); break;
            case CacheElement.BFloat16: Score<BFloat16Element>(queries, rows, keys, blocks, size, scores, scoreStride); break;
            default:
                if (scalesHalves)
                {
                    Score<ScaledHalfElement>(queries, rows, keys, blocks, size, scores, scoreStride);
                }
                else
                {
                    Score<HalfElement>(queries, rows, keys, blocks, size, scores, scoreStride);
                }

                break;
        }
    }

    public override void Accumulate(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
    {
        switch (values.Element)
        {
            case CacheElement.Single: Accumulate<FloatElement>(weights, rows, weightStride, values, stride, count, outputs); break;
            case CacheElement.BFloat16: Accumulate<BFloat16Element>(weights, rows, weightStride, values, stride, count, outputs); break;
            default:
                if (scalesHalves)
                {
                    Accumulate<ScaledHalfElement>(weights, rows, weightStride, values, stride, count, outputs);
                }
                else
                {
                    Accumulate<HalfElement>(weights, rows, weightStride, values, stride, count, outputs);
                }

                break;
        }
    }

    public override void Widen(CacheSpan source, int count, float* target)
    {
        switch (source.Element)
        {
            case CacheElement.Single: Widen<FloatElement>(source, count, target); break;
            case CacheElement.BFloat16: Widen<BFloat16Element>(source, count, target); break;
            default:
                if (scalesHalves)
                {
                    Widen<ScaledHalfElement>(source, count, target);
                }
                else
                {
                    Widen<HalfElement>(source, count, target);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen<TElement>(CacheSpan source, int count, float* target)
        where TElement : struct, ICacheElement
    {
        for (int i = 0; i < count; i += TLanes.Count)
        {
            TElement.Load<TLanes>(source, i).Store(target + i);
        }
    }

    private static void Score<TElement>(float* queries, int rows, CacheSpan keys, int blocks, int size, float* scores, nint scoreStride)
        where TElement : struct, ICacheElement
    {
        int slots = blocks * BlockSize, wide = (HasWideTiles || rows <= 2 ? 2 : 1) * TLanes.Count;
        for (int slot = 0; slot < slots;)
        {
            bool isPair = wide > TLanes.Count && slots - slot >= wide;
            for (int row = 0; row < rows; row += MaxRows)
            {
                float* query = queries + ((nint)row * size);
                float* score = scores + (row * scoreStride) + slot;
                switch (Math.Min(rows - row, MaxRows), isPair)
                {
                    case (1, true): Score<One, Two, TElement>(query, keys, slot, size, score, scoreStride); break;
                    case (1, false): Score<One, One, TElement>(query, keys, slot, size, score, scoreStride); break;
                    case (2, true): Score<Two, Two, TElement>(query, keys, slot, size, score, scoreStride); break;
                    case (2, false): Score<Two, One, TElement>(query, keys, slot, size, score, scoreStride); break;
                    case (_, true): Score<Four, Two, TElement>(query, keys, slot, size, score, scoreStride); break;
                    default: Score<Four, One, TElement>(query, keys, slot, size, score, scoreStride); break;
                }
            }

            slot += isPair ? wide : TLanes.Count;
        }
    }

    /// <summary>A tile of rows and of one or two vectors of slots. Two sums for every score, of even and of odd values, hide the latency of additions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Score<TRows, TVectors, TElement>(float* query, CacheSpan keys, int slot, int size, float* scores, nint scoreStride)
        where TRows : struct, ICount
        where TVectors : struct, ICount
        where TElement : struct, ICacheElement
    {
        float* query1 = query + size;
        float* query2 = query1 + size;
        float* query3 = query2 + size;
        TLanes a0 = default, a1 = default, a2 = default, a3 = default;
        TLanes b0 = default, b1 = default, b2 = default, b3 = default;
        TLanes c0 = default, c1 = default, c2 = default, c3 = default;
        TLanes d0 = default, d1 = default, d2 = default, d3 = default;
        nint key = At(slot, size), key2 = TVectors.Value > 1 ? At(slot + TLanes.Count, size) - key : 0;
        nint next = At(slot + (TVectors.Value * TLanes.Count), size) - key;
        int i = 0;
        for (; i <= size - 2; i += 2)
        {
            if (TRows.Value <= 2)
            {
                // A single token waits for memory: the same place of the next tile.
                Fetch<TElement>(keys, key + next, 2 * BlockSize);
                if (TVectors.Value > 1 && TLanes.Count == BlockSize)
                {
                    Fetch<TElement>(keys, key + key2 + next, 2 * BlockSize);
                }
            }

            TLanes k = TElement.Load<TLanes>(keys, key), l = TElement.Load<TLanes>(keys, key + BlockSize), m = default, n = default;
            if (TVectors.Value > 1)
            {
                m = TElement.Load<TLanes>(keys, key + key2);
                n = TElement.Load<TLanes>(keys, key + key2 + BlockSize);
            }

            TLanes q = TLanes.Broadcast(query + i), r = TLanes.Broadcast(query + i + 1);
            a0 = TLanes.MultiplyAdd(q, k, a0);
            b0 = TLanes.MultiplyAdd(r, l, b0);
            if (TVectors.Value > 1)
            {
                c0 = TLanes.MultiplyAdd(q, m, c0);
                d0 = TLanes.MultiplyAdd(r, n, d0);
            }

            if (TRows.Value > 1)
            {
                q = TLanes.Broadcast(query1 + i);
                r = TLanes.Broadcast(query1 + i + 1);
                a1 = TLanes.MultiplyAdd(q, k, a1);
                b1 = TLanes.MultiplyAdd(r, l, b1);
                if (TVectors.Value > 1)
                {
                    c1 = TLanes.MultiplyAdd(q, m, c1);
                    d1 = TLanes.MultiplyAdd(r, n, d1);
                }
            }

            if (TRows.Value > 2)
            {
                q = TLanes.Broadcast(query2 + i);
                r = TLanes.Broadcast(query2 + i + 1);
                a2 = TLanes.MultiplyAdd(q, k, a2);
                b2 = TLanes.MultiplyAdd(r, l, b2);
                if (TVectors.Value > 1)
                {
                    c2 = TLanes.MultiplyAdd(q, m, c2);
                    d2 = TLanes.MultiplyAdd(r, n, d2);
                }

                q = TLanes.Broadcast(query3 + i);
                r = TLanes.Broadcast(query3 + i + 1);
                a3 = TLanes.MultiplyAdd(q, k, a3);
                b3 = TLanes.MultiplyAdd(r, l, b3);
                if (TVectors.Value > 1)
                {
                    c3 = TLanes.MultiplyAdd(q, m, c3);
                    d3 = TLanes.MultiplyAdd(r, n, d3);
                }
            }

            key += 2 * BlockSize;
        }

        if (i < size)
        {
            TLanes k = TElement.Load<TLanes>(keys, key), m = TVectors.Value > 1 ? TElement.Load<TLanes>(keys, key + key2) : default;
            a0 = TLanes.MultiplyAdd(TLanes.Broadcast(query + i), k, a0);
            c0 = TLanes.MultiplyAdd(TLanes.Broadcast(query + i), m, c0);
            if (TRows.Value > 1)
            {
                a1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i), k, a1);
                c1 = TLanes.MultiplyAdd(TLanes.Broadcast(query1 + i), m, c1);
            }

            if (TRows.Value > 2)
            {
                a2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i), k, a2);
                c2 = TLanes.MultiplyAdd(TLanes.Broadcast(query2 + i), m, c2);
                a3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i), k, a3);
                c3 = TLanes.MultiplyAdd(TLanes.Broadcast(query3 + i), m, c3);
            }
        }

        Store<TVectors>(TLanes.Add(a0, b0), TLanes.Add(c0, d0), scores);
        if (TRows.Value > 1)
        {
            Store<TVectors>(TLanes.Add(a1, b1), TLanes.Add(c1, d1), scores + scoreStride);
        }

        if (TRows.Value > 2)
        {
            Store<TVectors>(TLanes.Add(a2, b2), TLanes.Add(c2, d2), scores + (2 * scoreStride));
            Store<TVectors>(TLanes.Add(a3, b3), TLanes.Add(c3, d3), scores + (3 * scoreStride));
        }
    }

    /// <summary>Asks for elements that are needed soon. What lies beyond the memory of a cache does no harm: it is asked for, not read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch<TElement>(CacheSpan source, nint index, int count)
        where TElement : struct, ICacheElement
    {
        if (Sse.IsSupported)
        {
            byte* start = (byte*)source.Floats + (index * TElement.Size);
            for (int line = 0; line < count * TElement.Size; line += CacheLine)
            {
                Sse.Prefetch0(start + line);
            }
        }
    }

    // Where the first value of a slot's key lies.
    private static nint At(int slot, int size) => ((nint)(slot / BlockSize) * size * BlockSize) + (slot % BlockSize);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TVectors>(TLanes first, TLanes second, float* target)
        where TVectors : struct, ICount
    {
        first.Store(target);
        if (TVectors.Value > 1)
        {
            second.Store(target + TLanes.Count);
        }
    }

    private static void Accumulate<TElement>(float* weights, int rows, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
        where TElement : struct, ICacheElement
    {
        for (int row = 0; row < rows; row += MaxRows)
        {
            float* weight = weights + (row * weightStride);
            float* output = outputs + ((nint)row * stride);
            switch (rows - row)
            {
                case 1: AccumulateFew<One, TElement>(weight, weightStride, values, stride, count, output); break;
                case 2: AccumulateFew<Two, TElement>(weight, weightStride, values, stride, count, output); break;
                default: AccumulateFour<TElement>(weight, weightStride, values, stride, count, output); break;
            }
        }
    }

    /// <summary>Four rows have enough arithmetic for sums to stay in registers, a few vectors of columns at a time.</summary>
    private static void AccumulateFour<TElement>(float* weights, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
        where TElement : struct, ICacheElement
    {
        for (int column = 0; column < stride;)
        {
            int vectors = (stride - column) / TLanes.Count;
            if (HasWideTiles && vectors >= 4)
            {
                AccumulateFour<Four, TElement>(weights, weightStride, values, stride, count, outputs, column);
                column += 4 * TLanes.Count;
            }
            else if (vectors >= 2)
            {
                AccumulateFour<Two, TElement>(weights, weightStride, values, stride, count, outputs, column);
                column += 2 * TLanes.Count;
            }
            else
            {
                AccumulateFour<One, TElement>(weights, weightStride, values, stride, count, outputs, column);
                column += TLanes.Count;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AccumulateFour<TVectors, TElement>(
        float* weights, nint weightStride, CacheSpan values, int stride, int count, float* outputs, int column)
        where TVectors : struct, ICount
        where TElement : struct, ICacheElement
    {
        float* output = outputs + column;
        float* output1 = output + stride;
        float* output2 = output1 + stride;
        float* output3 = output2 + stride;
        Load<TVectors>(output, out TLanes a0, out TLanes b0, out TLanes c0, out TLanes d0);
        Load<TVectors>(output1, out TLanes a1, out TLanes b1, out TLanes c1, out TLanes d1);
        Load<TVectors>(output2, out TLanes a2, out TLanes b2, out TLanes c2, out TLanes d2);
        Load<TVectors>(output3, out TLanes a3, out TLanes b3, out TLanes c3, out TLanes d3);
        float* weight1 = weights + weightStride;
        float* weight2 = weight1 + weightStride;
        float* weight3 = weight2 + weightStride;
        nint value = column;
        for (int i = 0; i < count; i++)
        {
            TLanes u = TElement.Load<TLanes>(values, value), v = default, x = default, y = default;
            if (TVectors.Value > 1)
            {
                v = TElement.Load<TLanes>(values, value + TLanes.Count);
            }

            if (TVectors.Value > 2)
            {
                x = TElement.Load<TLanes>(values, value + (2 * TLanes.Count));
                y = TElement.Load<TLanes>(values, value + (3 * TLanes.Count));
            }

            Add<TVectors>(TLanes.Broadcast(weights + i), u, v, x, y, ref a0, ref b0, ref c0, ref d0);
            Add<TVectors>(TLanes.Broadcast(weight1 + i), u, v, x, y, ref a1, ref b1, ref c1, ref d1);
            Add<TVectors>(TLanes.Broadcast(weight2 + i), u, v, x, y, ref a2, ref b2, ref c2, ref d2);
            Add<TVectors>(TLanes.Broadcast(weight3 + i), u, v, x, y, ref a3, ref b3, ref c3, ref d3);
            value += stride;
        }

        Store<TVectors>(output, a0, b0, c0, d0);
        Store<TVectors>(output1, a1, b1, c1, d1);
        Store<TVectors>(output2, a2, b2, c2, d2);
        Store<TVectors>(output3, a3, b3, c3, d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<TVectors>(float* source, out TLanes a, out TLanes b, out TLanes c, out TLanes d)
        where TVectors : struct, ICount
    {
        a = TLanes.Load(source);
        b = TVectors.Value > 1 ? TLanes.Load(source + TLanes.Count) : default;
        c = TVectors.Value > 2 ? TLanes.Load(source + (2 * TLanes.Count)) : default;
        d = TVectors.Value > 2 ? TLanes.Load(source + (3 * TLanes.Count)) : default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TVectors>(
        TLanes weight, TLanes u, TLanes v, TLanes x, TLanes y, ref TLanes a, ref TLanes b, ref TLanes c, ref TLanes d)
        where TVectors : struct, ICount
    {
        a = TLanes.MultiplyAdd(weight, u, a);
        if (TVectors.Value > 1)
        {
            b = TLanes.MultiplyAdd(weight, v, b);
        }

        if (TVectors.Value > 2)
        {
            c = TLanes.MultiplyAdd(weight, x, c);
            d = TLanes.MultiplyAdd(weight, y, d);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TVectors>(float* target, TLanes a, TLanes b, TLanes c, TLanes d)
        where TVectors : struct, ICount
    {
        Store<TVectors>(a, b, target);
        if (TVectors.Value > 2)
        {
            c.Store(target + (2 * TLanes.Count));
            d.Store(target + (3 * TLanes.Count));
        }
    }

    /// <summary>
    /// One or two rows, those of a single token, wait for memory: values are read from the first to the last, four positions side by side,
    /// and sums pass through the nearest cache.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AccumulateFew<TRows, TElement>(
        float* weights, nint weightStride, CacheSpan values, int stride, int count, float* outputs)
        where TRows : struct, ICount
        where TElement : struct, ICacheElement
    {
        int i = 0;
        for (; i <= count - 4; i += 4)
        {
            float* weight = weights + i;
            TLanes w0 = TLanes.Broadcast(weight), w1 = TLanes.Broadcast(weight + 1);
            TLanes w2 = TLanes.Broadcast(weight + 2), w3 = TLanes.Broadcast(weight + 3);
            float* other = TRows.Value > 1 ? weight + weightStride : weight;
            TLanes x0 = TLanes.Broadcast(other), x1 = TLanes.Broadcast(other + 1);
            TLanes x2 = TLanes.Broadcast(other + 2), x3 = TLanes.Broadcast(other + 3);
            nint value = (nint)i * stride;
            for (int column = 0; column < stride; column += TLanes.Count)
            {
                Fetch<TElement>(values, value + (4 * column) + (ValuesAhead / TElement.Size), 4 * TLanes.Count);
                TLanes v0 = TElement.Load<TLanes>(values, value + column);
                TLanes v1 = TElement.Load<TLanes>(values, value + stride + column);
                TLanes v2 = TElement.Load<TLanes>(values, value + (2 * stride) + column);
                TLanes v3 = TElement.Load<TLanes>(values, value + (3 * stride) + column);
                AddFour(outputs + column, w0, v0, w1, v1, w2, v2, w3, v3);
                if (TRows.Value > 1)
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
                for (int row = 0; row < TRows.Value; row++)
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
