using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>Streams the wire bytes of a K-quant once for one to eight activation rows.</summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx512RowKernel<TFormat>(int preferredRows) : ProductKernel(TFormat.Format, KernelTier.Avx512, "row")
    where TFormat : struct, IAvx512RowFormat
{
    public override bool IsCanonical => false;

    public override int MaxRows => 8;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    public override nint GetActivationBytes(int rows, int units) => rows * Avx512RowProduct<TFormat>.GetActivationBytes(units);

    public override nint GetScratchBytes(int units) => Avx512RowProduct<TFormat>.ScratchBytes;

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int row = 0; row < rows; row++)
        {
            nint from = rowIndices == null ? row : rowIndices[row];
            Avx512RowProduct<TFormat>.Arrange(
                source.RowCodes(from), source.RowSums(from), source.RowScales(from), source.Units, row, rows, destination);
        }
    }

    public override void Run(in ProductTask task, byte* scratch) => Avx512RowProduct<TFormat>.Multiply(
        task.Weights, task.WeightRowBytes, task.WeightRows, task.Units, task.Activations, task.Rows, task.Outputs, scratch);
}
