using System.Runtime.CompilerServices;

namespace KQuant.Matmul.Floats;

// The product with the weights as they are. A lane is an output column here, so that nothing is summed over lanes and the width of the
// vectors does not show in the result.
internal sealed unsafe partial class VectorFloatKernel<TLanes, TSource>
{
    public override void MultiplyTransposed(in TransposedTask task)
    {
        for (int m = 0; m < task.RowCount;)
        {
            int rows = Math.Min(task.RowCount - m, TLanes.TileRows);
            switch (rows)
            {
                case 6: MultiplyTransposedRows<Six>(task, m); break;
                case 5: MultiplyTransposedRows<Five>(task, m); break;
                case 4: MultiplyTransposedRows<Four>(task, m); break;
                case 3: MultiplyTransposedRows<Three>(task, m); break;
                case 2: MultiplyTransposedRows<Two>(task, m); break;
                default: MultiplyTransposedRows<One>(task, m); break;
            }

            m += rows;
        }
    }

    private static void MultiplyTransposedRows<TRows>(in TransposedTask task, int m)
        where TRows : struct, ICount
    {
        int k = 0;
        if (TLanes.TileColumns == 4 || TRows.Value == 1)
        {
            for (; k + (4 * Lanes) <= task.Columns; k += 4 * Lanes)
            {
                TransposedTile<TRows, Four>(task, m, k);
            }
        }

        for (; k + (2 * Lanes) <= task.Columns; k += 2 * Lanes)
        {
            TransposedTile<TRows, Two>(task, m, k);
        }

        for (; k < task.Columns; k += Lanes)
        {
            TransposedTile<TRows, One>(task, m, k);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposedTile<TRows, TColumns>(in TransposedTask task, int m, int k)
        where TRows : struct, ICount
        where TColumns : struct, ICount
    {
        TLanes a00 = default, a01 = default, a02 = default, a03 = default;
        TLanes a10 = default, a11 = default, a12 = default, a13 = default;
        TLanes a20 = default, a21 = default, a22 = default, a23 = default;
        TLanes a30 = default, a31 = default, a32 = default, a33 = default;
        TLanes a40 = default, a41 = default, a42 = default, a43 = default;
        TLanes a50 = default, a51 = default, a52 = default, a53 = default;
        float* w = task.Weights + k;
        float** factors = task.Rows + m;
        float* x0 = factors[0] + task.FirstWeightRow;
        float* x1 = TRows.Value > 1 ? factors[1] + task.FirstWeightRow : x0;
        float* x2 = TRows.Value > 2 ? factors[2] + task.FirstWeightRow : x0;
        float* x3 = TRows.Value > 3 ? factors[3] + task.FirstWeightRow : x0;
        float* x4 = TRows.Value > 4 ? factors[4] + task.FirstWeightRow : x0;
        float* x5 = TRows.Value > 5 ? factors[5] + task.FirstWeightRow : x0;
        nint rows = task.WeightRows;
        for (nint n = 0; n < rows; n++, w += task.WeightStride)
        {
            TLanes v0 = TLanes.Load(w);
            TLanes v1 = TColumns.Value > 1 ? TLanes.Load(w + Lanes) : default;
            TLanes v2 = TColumns.Value > 2 ? TLanes.Load(w + (2 * Lanes)) : default;
            TLanes v3 = TColumns.Value > 3 ? TLanes.Load(w + (3 * Lanes)) : default;
            Add<TColumns>(TLanes.Broadcast(x0[n]), v0, v1, v2, v3, ref a00, ref a01, ref a02, ref a03);
            if (TRows.Value > 1) Add<TColumns>(TLanes.Broadcast(x1[n]), v0, v1, v2, v3, ref a10, ref a11, ref a12, ref a13);
            if (TRows.Value > 2) Add<TColumns>(TLanes.Broadcast(x2[n]), v0, v1, v2, v3, ref a20, ref a21, ref a22, ref a23);
            if (TRows.Value > 3) Add<TColumns>(TLanes.Broadcast(x3[n]), v0, v1, v2, v3, ref a30, ref a31, ref a32, ref a33);
            if (TRows.Value > 4) Add<TColumns>(TLanes.Broadcast(x4[n]), v0, v1, v2, v3, ref a40, ref a41, ref a42, ref a43);
            if (TRows.Value > 5) Add<TColumns>(TLanes.Broadcast(x5[n]), v0, v1, v2, v3, ref a50, ref a51, ref a52, ref a53);
        }

        int valid = task.Columns - k;
        nint y = task.FirstOutput + k;
        float** outputs = task.Outputs + m;
        bool accumulate = task.Accumulate;
        PutColumns<TColumns>(a00, a01, a02, a03, outputs[0] + y, valid, accumulate);
        if (TRows.Value > 1) PutColumns<TColumns>(a10, a11, a12, a13, outputs[1] + y, valid, accumulate);
        if (TRows.Value > 2) PutColumns<TColumns>(a20, a21, a22, a23, outputs[2] + y, valid, accumulate);
        if (TRows.Value > 3) PutColumns<TColumns>(a30, a31, a32, a33, outputs[3] + y, valid, accumulate);
        if (TRows.Value > 4) PutColumns<TColumns>(a40, a41, a42, a43, outputs[4] + y, valid, accumulate);
        if (TRows.Value > 5) PutColumns<TColumns>(a50, a51, a52, a53, outputs[5] + y, valid, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PutColumns<TColumns>(TLanes a0, TLanes a1, TLanes a2, TLanes a3, float* output, int valid, bool accumulate)
        where TColumns : struct, ICount
    {
        if (TColumns.Value == 1 && valid < Lanes)
        {
            PutPartial(a0, output, valid, accumulate);
            return;
        }

        PutVector(a0, output, accumulate);
        if (TColumns.Value > 1) PutVector(a1, output + Lanes, accumulate);
        if (TColumns.Value > 2) PutVector(a2, output + (2 * Lanes), accumulate);
        if (TColumns.Value > 3) PutVector(a3, output + (3 * Lanes), accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PutVector(TLanes sums, float* output, bool accumulate) =>
        TLanes.Store(accumulate ? TLanes.Add(TLanes.Load(output), sums) : sums, output);

    private static void PutPartial(TLanes sums, float* output, int valid, bool accumulate)
    {
        float* buffer = stackalloc float[Lanes];
        TLanes.Store(sums, buffer);
        for (int i = 0; i < valid; i++)
        {
            output[i] = accumulate ? output[i] + buffer[i] : buffer[i];
        }
    }
}
