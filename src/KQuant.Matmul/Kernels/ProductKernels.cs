using KQuant.Codecs;
using KQuant.Matmul.Layouts;
using KQuant.Matmul.Panels;
using KQuant.Matmul.Panels.Avx512;
using KQuant.Matmul.Panels.Portable;
using KQuant.Matmul.Rows.Avx512;

namespace KQuant.Matmul.Kernels;

/// <summary>Every int8 product kernel there is, best first for each format. Tests, benchmarks and the command line walk the table.</summary>
internal static class ProductKernels
{
    public static IReadOnlyList<ProductKernel> All { get; } =
    [
        new Avx512FlatRowKernel<RowQ4_0>(preferredRows: 7),
        new PanelKernel<PanelQ4_0>(isPacked: false), new PanelKernel<PanelQ4_0>(isPacked: true, packedRows: 2),
        new Avx512FlatRowKernel<RowQ4_1>(preferredRows: 7),
        new PanelKernel<PanelQ4_1>(isPacked: false), new PanelKernel<PanelQ4_1>(isPacked: true, packedRows: 2),
        new Avx512FlatRowKernel<RowQ5_0>(preferredRows: 7),
        new PanelKernel<PanelQ5_0>(isPacked: false), new PanelKernel<PanelQ5_0>(isPacked: true, packedRows: 2),
        new Avx512FlatRowKernel<RowQ5_1>(preferredRows: 7),
        new PanelKernel<PanelQ5_1>(isPacked: false), new PanelKernel<PanelQ5_1>(isPacked: true, packedRows: 2),
        new Avx512FlatRowKernel<RowQ8_0>(preferredRows: 5),
        new PanelKernel<PanelQ8_0>(isPacked: false), new PanelKernel<PanelQ8_0>(isPacked: true, packedRows: 3),
        new Avx512RowKernel<RowQ2_K>(preferredRows: 5),
        new PanelKernel<PanelQ2_K>(isPacked: false), new PanelKernel<PanelQ2_K>(isPacked: true, packedRows: 2),
        new Avx512RowKernel<RowQ3_K>(preferredRows: 4),
        new PanelKernel<PanelQ3_K>(isPacked: false), new PanelKernel<PanelQ3_K>(isPacked: true, packedRows: 2),
        new Avx512RowKernel<RowQ4_K>(preferredRows: 8),
        new PanelKernel<PanelQ4_K>(isPacked: false), new PanelKernel<PanelQ4_K>(isPacked: true, packedRows: 3),
        new Avx512RowKernel<RowQ5_K>(preferredRows: 7),
        new PanelKernel<PanelQ5_K>(isPacked: false), new PanelKernel<PanelQ5_K>(isPacked: true, packedRows: 3),
        new Avx512RowKernel<RowQ6_K>(preferredRows: 4),
        new PanelKernel<PanelQ6_K>(isPacked: false), new PanelKernel<PanelQ6_K>(isPacked: true, packedRows: 3),

        .. Avx256Kernels.Of<VnniDot, VnniDot>(),
        .. Avx256Kernels.Of<Avx2Dot, Avx2SignedDot>(),
        .. NeonKernels.Of<NeonDotProduct>(),
        .. NeonKernels.Of<NeonWideningProduct>(),

        new Vector128Kernel<Vector128Flat<LayoutQ4_0>>(), new Vector128Kernel<Vector128Flat<LayoutQ4_1>>(),
        new Vector128Kernel<Vector128Flat<LayoutQ5_0>>(), new Vector128Kernel<Vector128Flat<LayoutQ5_1>>(),
        new Vector128Kernel<Vector128Flat<LayoutQ8_0>>(), new Vector128Kernel<Vector128K<LayoutQ2_K>>(),
        new Vector128Kernel<Vector128K<LayoutQ3_K>>(), new Vector128Kernel<Vector128K<LayoutQ4_K>>(),
        new Vector128Kernel<Vector128K<LayoutQ5_K>>(), new Vector128Kernel<Vector128K<LayoutQ6_K>>(),

        new ScalarKernel<UnitQ4_0>(QuantFormat.Q4_0), new ScalarKernel<UnitQ4_1>(QuantFormat.Q4_1),
        new ScalarKernel<UnitQ5_0>(QuantFormat.Q5_0), new ScalarKernel<UnitQ5_1>(QuantFormat.Q5_1),
        new ScalarKernel<UnitQ8_0>(QuantFormat.Q8_0), new ScalarKernel<UnitQ2_K>(QuantFormat.Q2_K),
        new ScalarKernel<UnitQ3_K>(QuantFormat.Q3_K), new ScalarKernel<UnitQ4_K>(QuantFormat.Q4_K),
        new ScalarKernel<UnitQ5_K>(QuantFormat.Q5_K), new ScalarKernel<UnitQ6_K>(QuantFormat.Q6_K),
    ];

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
