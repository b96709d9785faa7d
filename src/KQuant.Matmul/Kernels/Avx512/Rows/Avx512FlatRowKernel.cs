using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>Streams the wire bytes of a 32-wide codec once for one to eight activation rows.</summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx512FlatRowKernel<TFormat>(int preferredRows) : ProductKernel(TFormat.Format, KernelTier.Avx512, "row")
    where TFormat : struct, IAvx512FlatRowFormat
{
    public override bool IsSupported => TFormat.IsSupported;

    public override bool IsCanonical => false;

    public override int MaxRows => 8;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    public override nint GetActivationBytes(int rows, int units) => rows * Avx512FlatRowProduct<TFormat>.GetActivationBytes(8 * units);

    public override nint GetScratchBytes(int units) => Avx512FlatRowProduct<TFormat>.ScratchBytes;

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        for (int row = 0; row < rows; row++)
        {
            Avx512FlatRowProduct<TFormat>.Arrange(source, rowIndices == null ? row : rowIndices[row], row, rows, destination);
        }
    }

    public override void Run(in ProductTask task, byte* scratch) => Avx512FlatRowProduct<TFormat>.Multiply(
        task.Weights, task.WeightRowBytes, task.WeightRows, (8 * (task.Units - 1)) + task.TailBlocks, task.Activations, task.Rows, task.Outputs, scratch);
}
