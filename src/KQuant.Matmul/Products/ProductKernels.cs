using KQuant.Codecs;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>Every int8 product kernel there is, best first for each format. Tests, benchmarks and the command line walk the table.</summary>
internal static class ProductKernels
{
    private static readonly ProductKernel[] Usable = [.. KernelTables.OfThisProcessor.SelectMany(table => table.Products)];

    public static IReadOnlyList<ProductKernel> All => [.. KernelTables.All.SelectMany(table => table.Products)];

    /// <summary>The kernel to multiply wire bytes with.</summary>
    /// <param name="codec">Codec of the weights.</param>
    /// <param name="rows">Activation rows.</param>
    /// <param name="maxTier">The best tier that may be used.</param>
    /// <param name="canonical">Whether results must have the canonical order, and with it the same bits on every tier.</param>
    /// <returns>The first kernel in the table that will do; null for a codec that is multiplied in float32.</returns>
    internal static ProductKernel? Select(QuantCodec codec, int rows, KernelTier maxTier, bool canonical)
    {
        // Called for every product, so it allocates nothing.
        foreach (ProductKernel kernel in Usable)
        {
            if (kernel.Codec == codec && KernelTiers.Allows(maxTier, kernel.Tier) && !kernel.IsPacked
                && rows <= kernel.PreferredRows && (kernel.IsCanonical || !canonical) && kernel.IsSupported)
            {
                return kernel;
            }
        }

        return null;
    }

    /// <summary>The kernel that weights can be arranged for in advance, or null if there is none. Its results have the canonical order.</summary>
    /// <param name="codec">Codec of the weights.</param>
    /// <param name="maxTier">The best tier that may be used.</param>
    internal static ProductKernel? SelectPacked(QuantCodec codec, KernelTier maxTier)
    {
        foreach (ProductKernel kernel in Usable)
        {
            if (kernel.Codec == codec && KernelTiers.Allows(maxTier, kernel.Tier) && kernel.IsPacked && kernel.IsSupported)
            {
                return kernel;
            }
        }

        return null;
    }
}
