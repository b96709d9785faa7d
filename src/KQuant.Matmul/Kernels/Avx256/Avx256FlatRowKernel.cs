using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>Streams the wire bytes of a 32-wide codec once for one to four activation rows.</summary>
/// <param name="preferredRows">Up to how many activation rows it is faster than the panel kernel.</param>
internal sealed unsafe class Avx256FlatRowKernel<TLayout, TDot>(int preferredRows) : ProductKernel(TLayout.Format, TDot.Tier, "row")
    where TLayout : struct, IFlatLayout
    where TDot : struct, IAvx256Dot
{
    public override bool IsCanonical => false;

    public override int MaxRows => 4;

    public override int PreferredRows => preferredRows;

    public override int Granule => 1;

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * units * sizeof(Avx256FlatRowProduct<TLayout, TDot>.Activations);

    public override nint GetScratchBytes(int units) => 0;

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        var x = (Avx256FlatRowProduct<TLayout, TDot>.Activations*)destination;
        for (int u = 0; u < source.Units; u++)
        {
            for (int r = 0; r < rows; r++, x++)
            {
                nint from = rowIndices == null ? r : rowIndices[r];
                Avx256FlatRowProduct<TLayout, TDot>.Arrange(
                    source.RowCodes(from) + (256 * u), source.RowScales(from) + (8 * u), source.RowSums(from) + (8 * u), x);
            }
        }
    }

    public override void Run(in ProductTask task, byte* scratch) => Avx256FlatRowProduct<TLayout, TDot>.Multiply(
        task.Weights, task.WeightRowBytes, task.WeightRows, (8 * (task.Units - 1)) + task.TailBlocks,
        (Avx256FlatRowProduct<TLayout, TDot>.Activations*)task.Activations, task.Rows, task.Outputs);
}
