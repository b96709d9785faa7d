using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Floats;

/// <summary>
/// Tiles of up to six activation rows by four weight rows, every output in an accumulator of sixteen lanes: what is loaded is used for a
/// whole row or column of the tile, and the sums over the lanes are taken four at a time, once per block of columns.
/// </summary>
internal sealed unsafe partial class VectorFloatKernel<TLanes, TSource>() : FloatKernel(TSource.Format, TLanes.Tier, TLanes.IsFused)
    where TLanes : struct, IFloatLanes<TLanes>
    where TSource : struct, IFloatSource
{
    private interface IFetch
    {
        static abstract bool IsAhead { get; }
    }

    public override int DirectRows => TSource.DirectRows;

    public override void Multiply(in FloatTask task)
    {
        int m = 0;
        if (task.Ahead != null && Sse.IsSupported)
        {
            m += MultiplyRows<FetchAhead>(task, 0);
        }

        while (m < task.RowCount)
        {
            m += MultiplyRows<FetchNothing>(task, m);
        }
    }

    private static int MultiplyRows<TFetch>(in FloatTask task, int m)
        where TFetch : struct, IFetch
    {
        int rows = Math.Min(task.RowCount - m, TLanes.TileRows);
        switch (rows)
        {
            case 6: MultiplyRows<Six, TFetch>(task, m); break;
            case 5: MultiplyRows<Five, TFetch>(task, m); break;
            case 4: MultiplyRows<Four, TFetch>(task, m); break;
            case 3: MultiplyRows<Three, TFetch>(task, m); break;
            case 2: MultiplyRows<Two, TFetch>(task, m); break;
            default: MultiplyRows<One, TFetch>(task, m); break;
        }

        return rows;
    }

    private static void MultiplyRows<TRows, TFetch>(in FloatTask task, int m)
        where TRows : struct, ICount
        where TFetch : struct, IFetch
    {
        // A single row has accumulators to spare, and gains from more streams of weights.
        int n = 0;
        if (TLanes.TileColumns == 4 || TRows.Value == 1)
        {
            for (; n + 4 <= task.WeightRows; n += 4)
            {
                Tile<TRows, Four, TFetch>(task, m, n);
            }
        }

        for (; n + 2 <= task.WeightRows; n += 2)
        {
            Tile<TRows, Two, TFetch>(task, m, n);
        }

        if (n < task.WeightRows)
        {
            Tile<TRows, One, TFetch>(task, m, n);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<TRows, TColumns, TFetch>(in FloatTask task, int m, int n)
        where TRows : struct, ICount
        where TColumns : struct, ICount
        where TFetch : struct, IFetch
    {
        byte* w0 = task.Weights + (n * task.WeightRowBytes);
        byte* w1 = w0 + task.WeightRowBytes;
        byte* w2 = w1 + task.WeightRowBytes;
        byte* w3 = w2 + task.WeightRowBytes;
        float** rows = task.Rows + m;
        float* x0 = rows[0] + task.FirstColumn;
        float* x1 = TRows.Value > 1 ? rows[1] + task.FirstColumn : x0;
        float* x2 = TRows.Value > 2 ? rows[2] + task.FirstColumn : x0;
        float* x3 = TRows.Value > 3 ? rows[3] + task.FirstColumn : x0;
        float* x4 = TRows.Value > 4 ? rows[4] + task.FirstColumn : x0;
        float* x5 = TRows.Value > 5 ? rows[5] + task.FirstColumn : x0;
        float** outputs = task.Outputs + m;
        nint y = task.FirstOutput + n;
        nint columns = task.Columns;
        byte* ahead = task.Ahead + (n * task.AheadRowBytes);
        nint aheadRowBytes = task.AheadRowBytes;
        nint aheadStep = task.AheadStep;
        bool accumulate = task.Accumulate;
        for (nint k = 0; k < columns; accumulate = true)
        {
            TLanes a00 = default, a01 = default, a02 = default, a03 = default;
            TLanes a10 = default, a11 = default, a12 = default, a13 = default;
            TLanes a20 = default, a21 = default, a22 = default, a23 = default;
            TLanes a30 = default, a31 = default, a32 = default, a33 = default;
            TLanes a40 = default, a41 = default, a42 = default, a43 = default;
            TLanes a50 = default, a51 = default, a52 = default, a53 = default;
            for (nint end = Math.Min(columns, k + ColumnBlock); k < end; k += Lanes)
            {
                if (TFetch.IsAhead)
                {
                    Fetch<TColumns>(ahead, aheadRowBytes);
                    ahead += aheadStep;
                }

                TLanes v0 = TLanes.Load<TSource>(w0, k);
                TLanes v1 = TColumns.Value > 1 ? TLanes.Load<TSource>(w1, k) : default;
                TLanes v2 = TColumns.Value > 2 ? TLanes.Load<TSource>(w2, k) : default;
                TLanes v3 = TColumns.Value > 3 ? TLanes.Load<TSource>(w3, k) : default;
                Add<TColumns>(TLanes.Load(x0 + k), v0, v1, v2, v3, ref a00, ref a01, ref a02, ref a03);
                if (TRows.Value > 1) Add<TColumns>(TLanes.Load(x1 + k), v0, v1, v2, v3, ref a10, ref a11, ref a12, ref a13);
                if (TRows.Value > 2) Add<TColumns>(TLanes.Load(x2 + k), v0, v1, v2, v3, ref a20, ref a21, ref a22, ref a23);
                if (TRows.Value > 3) Add<TColumns>(TLanes.Load(x3 + k), v0, v1, v2, v3, ref a30, ref a31, ref a32, ref a33);
                if (TRows.Value > 4) Add<TColumns>(TLanes.Load(x4 + k), v0, v1, v2, v3, ref a40, ref a41, ref a42, ref a43);
                if (TRows.Value > 5) Add<TColumns>(TLanes.Load(x5 + k), v0, v1, v2, v3, ref a50, ref a51, ref a52, ref a53);
            }

            Put<TColumns>(TLanes.Sum(a00, a01, a02, a03), outputs[0] + y, accumulate);
            if (TRows.Value > 1) Put<TColumns>(TLanes.Sum(a10, a11, a12, a13), outputs[1] + y, accumulate);
            if (TRows.Value > 2) Put<TColumns>(TLanes.Sum(a20, a21, a22, a23), outputs[2] + y, accumulate);
            if (TRows.Value > 3) Put<TColumns>(TLanes.Sum(a30, a31, a32, a33), outputs[3] + y, accumulate);
            if (TRows.Value > 4) Put<TColumns>(TLanes.Sum(a40, a41, a42, a43), outputs[4] + y, accumulate);
            if (TRows.Value > 5) Put<TColumns>(TLanes.Sum(a50, a51, a52, a53), outputs[5] + y, accumulate);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch<TColumns>(byte* ahead, nint rowBytes)
        where TColumns : struct, ICount
    {
        Sse.Prefetch0(ahead);
        if (TColumns.Value > 1) Sse.Prefetch0(ahead + rowBytes);
        if (TColumns.Value > 2) Sse.Prefetch0(ahead + (2 * rowBytes));
        if (TColumns.Value > 3) Sse.Prefetch0(ahead + (3 * rowBytes));
    }

    /// <summary>One row of a tile: the same activation (or factor) times up to four vectors of weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TColumns>(
        TLanes x, TLanes v0, TLanes v1, TLanes v2, TLanes v3, ref TLanes a0, ref TLanes a1, ref TLanes a2, ref TLanes a3)
        where TColumns : struct, ICount
    {
        a0 = TLanes.MultiplyAdd(v0, x, a0);
        if (TColumns.Value > 1) a1 = TLanes.MultiplyAdd(v1, x, a1);
        if (TColumns.Value > 2) a2 = TLanes.MultiplyAdd(v2, x, a2);
        if (TColumns.Value > 3) a3 = TLanes.MultiplyAdd(v3, x, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put<TColumns>(Vector128<float> sums, float* output, bool accumulate)
        where TColumns : struct, ICount
    {
        if (TColumns.Value == 4)
        {
            (accumulate ? Vector128.Load(output) + sums : sums).Store(output);
            return;
        }

        output[0] = accumulate ? output[0] + sums[0] : sums[0];
        if (TColumns.Value > 1) output[1] = accumulate ? output[1] + sums[1] : sums[1];
    }

    private readonly struct FetchAhead : IFetch
    {
        public static bool IsAhead => true;
    }

    private readonly struct FetchNothing : IFetch
    {
        public static bool IsAhead => false;
    }
}
