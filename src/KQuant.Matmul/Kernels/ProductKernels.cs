using KQuant.Codecs;
using KQuant.Matmul.Panels;
using KQuant.Matmul.Panels.Avx512;
using KQuant.Matmul.Rows.Avx512;

namespace KQuant.Matmul.Kernels;

/// <summary>Every int8 product kernel there is, best first for each format. Tests, benchmarks and the command line walk the table.</summary>
internal static class ProductKernels
{
    public static IReadOnlyList<ProductKernel> All { get; } =
    [
        new ScalarKernel<UnitQ4_0>(QuantFormat.Q4_0), new ScalarKernel<UnitQ4_1>(QuantFormat.Q4_1),
        new ScalarKernel<UnitQ5_0>(QuantFormat.Q5_0), new ScalarKernel<UnitQ5_1>(QuantFormat.Q5_1),
        new ScalarKernel<UnitQ8_0>(QuantFormat.Q8_0), new ScalarKernel<UnitQ2_K>(QuantFormat.Q2_K),
        new ScalarKernel<UnitQ3_K>(QuantFormat.Q3_K), new ScalarKernel<UnitQ4_K>(QuantFormat.Q4_K),
        new ScalarKernel<UnitQ5_K>(QuantFormat.Q5_K), new ScalarKernel<UnitQ6_K>(QuantFormat.Q6_K),
        new PanelKernel<PanelQ2_K>(isPacked: false), new PanelKernel<PanelQ2_K>(isPacked: true),
        new PanelKernel<PanelQ3_K>(isPacked: false), new PanelKernel<PanelQ3_K>(isPacked: true),
        new PanelKernel<PanelQ4_K>(isPacked: false), new PanelKernel<PanelQ4_K>(isPacked: true),
        new PanelKernel<PanelQ5_K>(isPacked: false), new PanelKernel<PanelQ5_K>(isPacked: true),
        new PanelKernel<PanelQ6_K>(isPacked: false), new PanelKernel<PanelQ6_K>(isPacked: true),
        new PanelKernel<PanelQ4_0>(isPacked: false), new PanelKernel<PanelQ4_0>(isPacked: true),
        new PanelKernel<PanelQ4_1>(isPacked: false), new PanelKernel<PanelQ4_1>(isPacked: true),
        new PanelKernel<PanelQ5_0>(isPacked: false), new PanelKernel<PanelQ5_0>(isPacked: true),
        new PanelKernel<PanelQ5_1>(isPacked: false), new PanelKernel<PanelQ5_1>(isPacked: true),
        new PanelKernel<PanelQ8_0>(isPacked: false), new PanelKernel<PanelQ8_0>(isPacked: true),
        new Avx512RowKernel<RowQ2_K>(), new Avx512RowKernel<RowQ3_K>(), new Avx512RowKernel<RowQ4_K>(), new Avx512RowKernel<RowQ5_K>(),
        new Avx512RowKernel<RowQ6_K>(),
        new Avx512FlatRowKernel<RowQ4_0>(), new Avx512FlatRowKernel<RowQ4_1>(),
        new Avx512FlatRowKernel<RowQ5_0>(), new Avx512FlatRowKernel<RowQ5_1>(),
        new Avx512FlatRowKernel<RowQ8_0>(),
    ];

    /// <summary>The best kernel for a product, from the table.</summary>
    /// <param name="format">Format of the weights.</param>
    /// <param name="rows">Activation rows; a kernel that takes fewer at once is given them in several goes.</param>
    /// <param name="maxTier">The best instruction set allowed.</param>
    /// <param name="canonical">Whether the canonical order of sums is asked for.</param>
    /// <returns>The kernel.</returns>
    public static ProductKernel Select(QuantFormat format, int rows, KernelTier maxTier, bool canonical)
    {
        ProductKernel? best = null;
        for (int i = 0; i < All.Count; i++)
        {
            ProductKernel kernel = All[i];
            if (kernel.Format == format && kernel.IsSupported && kernel.Tier <= maxTier && !kernel.IsPacked && (kernel.IsCanonical || !canonical)
                && (best is null || IsBetter(kernel, best, rows)))
            {
                best = kernel;
            }
        }

        return best ?? throw new NotSupportedException($"{format} has no product kernel.");
    }

    /// <summary>The best kernel that takes packed weights, or null. They are all canonical.</summary>
    /// <param name="format">Format of the weights.</param>
    /// <param name="maxTier">The best instruction set allowed.</param>
    public static ProductKernel? SelectPacked(QuantFormat format, KernelTier maxTier)
    {
        ProductKernel? best = null;
        for (int i = 0; i < All.Count; i++)
        {
            ProductKernel kernel = All[i];
            if (kernel.Format == format && kernel.IsSupported && kernel.Tier <= maxTier && kernel.IsPacked && (best is null || kernel.Tier > best.Tier))
            {
                best = kernel;
            }
        }

        return best;
    }

    // A better instruction set first; then the kernel for few rows, if so few there are.
    private static bool IsBetter(ProductKernel kernel, ProductKernel best, int rows)
    {
        if (kernel.Tier != best.Tier)
        {
            return kernel.Tier > best.Tier;
        }

        return best.MaxRows < rows ? kernel.MaxRows > best.MaxRows : kernel.MaxRows >= rows && kernel.MaxRows < best.MaxRows;
    }
}
