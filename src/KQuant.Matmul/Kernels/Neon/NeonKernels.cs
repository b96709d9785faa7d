using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>The kernels of the NEON tiers. Floats have none of their own: portable vectors are the same instructions.</summary>
internal static unsafe class NeonKernels
{
    /// <summary>All of them, best first.</summary>
    public static KernelTable All { get; } = new()
    {
        Products = [.. Of<NeonDotProduct>(), .. Of<NeonWideningProduct>()],
        Quantizers = [new(KernelTier.Neon, &TieredQuantizer<NeonQuantizer>.Quantize)],
    };

    /// <summary>The products of one tier, best first for each format.</summary>
    private static IReadOnlyList<ProductKernel> Of<TDot>()
        where TDot : struct, INeonDot =>
    [
        new NeonKernel<NeonFlatRowProduct<NeonQ4_0, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonFlatPanel<NeonQ4_0, TDot>>>(),
        new NeonKernel<NeonFlatRowProduct<NeonQ4_1, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonFlatPanel<NeonQ4_1, TDot>>>(),
        new NeonKernel<NeonFlatRowProduct<NeonQ5_0, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonFlatPanel<NeonQ5_0, TDot>>>(),
        new NeonKernel<NeonFlatRowProduct<NeonQ5_1, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonFlatPanel<NeonQ5_1, TDot>>>(),
        new NeonKernel<NeonFlatRowProduct<NeonQ8_0, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonFlatPanel<NeonQ8_0, TDot>>>(),
        new NeonKernel<NeonRowProduct<NeonQ2_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonPanel<NeonQ2_K, TDot>>>(),
        new NeonKernel<NeonRowProduct<NeonQ3_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonPanel<NeonQ3_K, TDot>>>(),
        new NeonKernel<NeonRowProduct<NeonQ4_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonPanel<NeonQ4_K, TDot>>>(),
        new NeonKernel<NeonRowProduct<NeonQ5_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonPanel<NeonQ5_K, TDot>>>(),
        new NeonKernel<NeonRowProduct<NeonQ6_K, TDot>>(TDot.PreferredRows), new NeonKernel<NeonPanelProduct<NeonPanel<NeonQ6_K, TDot>>>(),
    ];
}
