using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>A NEON kernel as an entry of the table.</summary>
/// <param name="preferredRows">
/// Up to how many activation rows it executes fewer instructions than the kernel behind it in the table.
/// </param>
internal sealed unsafe class NeonKernel<TProduct>(
    int preferredRows = int.MaxValue) : ProductKernel(TProduct.Format, TProduct.Tier, TProduct.Name)
    where TProduct : struct, INeonProduct
{
    public override bool IsCanonical => TProduct.IsCanonical;

    public override int MaxRows => TProduct.MaxRows;

    public override int PreferredRows => preferredRows;

    public override int Granule => TProduct.Granule;

    public override nint GetActivationBytes(int rows, int units) => TProduct.GetActivationBytes(rows, units);

    public override nint GetScratchBytes(int units) => TProduct.GetScratchBytes(units);

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination) =>
        TProduct.Arrange(source, rowIndices, rows, destination);

    public override void Run(in ProductTask task, byte* scratch) => TProduct.Run(task, scratch);
}
