using KQuant.Codecs;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Every int8 product kernel there is, best first for each format. Tests, benchmarks and the command line walk the table.</summary>
internal static class ProductKernels
{
    public static IReadOnlyList<ProductKernel> All { get; } = [.. KernelTables.All.SelectMany(table => table.Products)];

    /// <summary>The kernel to multiply wire bytes with.</summary>
    /// <param name="format">Format of the weights.</param>
    /// <param name="rows">Activation rows.</param>
    /// <param name="maxTier">The best tier that may be used.</param>
    /// <param name="canonical">Whether results must have the canonical order, and with it the same bits on every tier.</param>
    /// <returns>The first kernel in the table that will do.</returns>
    internal static ProductKernel Select(QuantFormat format, int rows, KernelTier maxTier, bool canonical)
    {
        // Called for every product, so it allocates nothing. The scalar kernels at the end take whatever is asked.
        int i = 0;
        while (!Will(All[i]))
        {
            i++;
        }

        return All[i];

        bool Will(ProductKernel kernel) => kernel.Format == format && kernel.Tier <= maxTier && !kernel.IsPacked
            && rows <= kernel.PreferredRows && (kernel.IsCanonical || !canonical) && kernel.IsSupported;
    }

    /// <summary>The kernel that weights can be arranged for in advance, or null if there is none. Its results have the canonical order.</summary>
    /// <param name="format">Format of the weights.</param>
    /// <param name="maxTier">The best tier that may be used.</param>
    internal static ProductKernel? SelectPacked(QuantFormat format, KernelTier maxTier)
    {
        foreach (ProductKernel kernel in All)
        {
            if (kernel.Format == format && kernel.Tier <= maxTier && kernel.IsPacked && kernel.IsSupported)
            {
                return kernel;
            }
        }

        return null;
    }
}
