using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>
/// The specification of products with float32 activations.
/// <para>
/// <c>y = x W^T</c>: columns come in blocks of 1024. Within a block lane j of sixteen sums the columns j, j + 16, j + 32, ... with one fused
/// multiply-add each, from left to right; the lanes are then added in pairs, j and j + 8, then j + 4, j + 2, j + 1; the sums of blocks are
/// added from left to right.
/// </para>
/// <para>
/// <c>dx = dy W</c>: weight rows come in blocks of 64. Within a block the rows are summed with one fused multiply-add each, first to last;
/// the sums of blocks are added, first to last.
/// </para>
/// <para>
/// A processor without that instruction multiplies and adds in the same order, unless results must be the same on every machine.
/// </para>
/// </summary>
internal sealed unsafe class ScalarFloatKernel<TSource, TMultiplyAdd>() : FloatKernel(TSource.Format, KernelTier.Scalar, TMultiplyAdd.IsFused)
    where TSource : struct, IFloatSource
    where TMultiplyAdd : struct, IMultiplyAdd
{
    public override int DirectRows => TSource.DirectRows;

    public override void Multiply(in FloatTask task)
    {
        float* lanes = stackalloc float[Lanes];
        for (int m = 0; m < task.RowCount; m++)
        {
            for (int n = 0; n < task.WeightRows; n++)
            {
                float* x = task.Rows[m] + task.FirstColumn;
                byte* w = task.Weights + (n * task.WeightRowBytes);
                ref float y = ref task.Outputs[m][task.FirstOutput + n];
                y = task.Accumulate ? y : 0;
                for (int start = 0; start < task.Columns; start += ColumnBlock)
                {
                    new Span<float>(lanes, Lanes).Clear();
                    for (int k = start; k < Math.Min(task.Columns, start + ColumnBlock); k++)
                    {
                        lanes[k % Lanes] = TMultiplyAdd.MultiplyAdd(TSource.Load(w, k), x[k], lanes[k % Lanes]);
                    }

                    for (int distance = Lanes / 2; distance > 0; distance /= 2)
                    {
                        for (int j = 0; j < distance; j++)
                        {
                            lanes[j] += lanes[j + distance];
                        }
                    }

                    y += lanes[0];
                }
            }
        }
    }

    public override void MultiplyTransposed(in TransposedTask task)
    {
        for (int m = 0; m < task.RowCount; m++)
        {
            float* x = task.Rows[m] + task.FirstWeightRow;
            for (int k = 0; k < task.Columns; k++)
            {
                float sum = 0;
                for (int n = 0; n < task.WeightRows; n++)
                {
                    sum = TMultiplyAdd.MultiplyAdd(task.Weights[(n * task.WeightStride) + k], x[n], sum);
                }

                ref float y = ref task.Outputs[m][task.FirstOutput + k];
                y = task.Accumulate ? y + sum : sum;
            }
        }
    }
}
