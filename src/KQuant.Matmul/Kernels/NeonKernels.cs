using KQuant.Codecs.Decoding;
using KQuant.Matmul.Panels.Neon;
using KQuant.Matmul.Rows.Neon;

namespace KQuant.Matmul.Kernels;

/// <summary>The kernels of the NEON tiers.</summary>
internal static class NeonKernels
{
    /// <summary>Those of one tier, best first for each format.</summary>
    public static IReadOnlyList<ProductKernel> Of<TDot>()
        where TDot : struct, INeonDot =>
    [
        new NeonKernel<NeonFlatRow<NeonQ4_0, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonFlatPanel<NeonQ4_0, TDot>>>(),
        new NeonKernel<NeonFlatRow<NeonQ4_1, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonFlatPanel<NeonQ4_1, TDot>>>(),
        new NeonKernel<NeonFlatRow<NeonQ5_0, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonFlatPanel<NeonQ5_0, TDot>>>(),
        new NeonKernel<NeonFlatRow<NeonQ5_1, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonFlatPanel<NeonQ5_1, TDot>>>(),
        new NeonKernel<NeonFlatRow<NeonQ8_0, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonFlatPanel<NeonQ8_0, TDot>>>(),
        new NeonKernel<NeonRow<NeonQ2_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonPanel<NeonQ2_K, TDot>>>(),
        new NeonKernel<NeonRow<NeonQ3_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonPanel<NeonQ3_K, TDot>>>(),
        new NeonKernel<NeonRow<NeonQ4_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonPanel<NeonQ4_K, TDot>>>(),
        new NeonKernel<NeonRow<NeonQ5_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonPanel<NeonQ5_K, TDot>>>(),
        new NeonKernel<NeonRow<NeonQ6_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanels<NeonPanel<NeonQ6_K, TDot>>>(),
    ];
}
