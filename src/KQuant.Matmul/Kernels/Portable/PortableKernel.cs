using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>
/// Products with portable 128-bit vectors: a unit of four weight rows is unpacked to 16-bit integers and multiplied with every
/// activation row. The four outputs are lanes of one vector, so the order is canonical.
/// </summary>
internal sealed unsafe class PortableKernel<TUnit>() : ProductKernel(TUnit.Format, KernelTier.Portable, "panel")
    where TUnit : struct, IPortableUnit
{
    private readonly int _bytesPerBlock = QuantCodec.Get(TUnit.Format).BytesPerBlock;

    public override bool IsCanonical => true;

    public override int MaxRows => int.MaxValue;

    public override int Granule => 4;

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * units * TUnit.ActivationBytes;

    public override nint GetScratchBytes(int units) => TUnit.UnpackedBytes;

    // Unit after unit, so that all rows of one follow each other.
    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int r = 0; r < rows; r++)
        {
            nint from = rowIndices == null ? r : rowIndices[r];
            for (int u = 0; u < source.Units; u++)
            {
                TUnit.Arrange(
                    source.RowCodes(from) + (256 * u),
                    source.RowScales(from) + (source.ScalesPerUnit * u),
                    source.RowSums(from) + (source.SumsPerUnit * u),
                    destination + ((((nint)u * rows) + r) * TUnit.ActivationBytes));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(in ProductTask task, byte* scratch)
    {
        for (int n = 0; n < task.WeightRows; n += 4)
        {
            int width = Math.Min(4, task.WeightRows - n);
            byte* blocks = task.Weights + (n * task.WeightRowBytes);
            byte* x = task.Activations;
            for (int u = 0; u < task.Units; u++)
            {
                int count = u == task.Units - 1 ? task.TailBlocks : TUnit.Blocks;
                for (int row = 0; row < width; row++)
                {
                    TUnit.Unpack(blocks + (row * task.WeightRowBytes), count, row, scratch);
                }

                for (int m = 0; m < task.Rows; m++, x += TUnit.ActivationBytes)
                {
                    float* y = task.Outputs[m] + n;
                    Store(TUnit.Multiply(scratch, count, x, u == 0 ? default : Load(y, width)), y, width);
                }

                blocks += TUnit.Blocks * _bytesPerBlock;
            }
        }
    }

    /// <summary>Loads as many outputs as there are weight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Load(float* y, int width)
    {
        if (width == 4)
        {
            return Vector128.Load(y);
        }

        return Vector128.Create(y[0], width > 1 ? y[1] : 0, width > 2 ? y[2] : 0, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector128<float> sums, float* y, int width)
    {
        if (width == 4)
        {
            sums.Store(y);
            return;
        }

        for (int i = 0; i < width; i++)
        {
            y[i] = sums[i];
        }
    }
}
