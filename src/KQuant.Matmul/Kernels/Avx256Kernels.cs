using KQuant.Codecs;
using KQuant.Matmul.Layouts;
using KQuant.Matmul.Panels;
using KQuant.Matmul.Panels.Avx256;
using KQuant.Matmul.Rows.Avx256;

namespace KQuant.Matmul.Kernels;

/// <summary>The kernels of the tiers with 256-bit vectors.</summary>
internal static class Avx256Kernels
{
    /// <summary>Those of one tier, best first for each format.</summary>
    /// <typeparam name="TDot">How bytes are multiplied.</typeparam>
    /// <typeparam name="TDot8">The same for codes of 8 bits.</typeparam>
    public static IReadOnlyList<ProductKernel> Of<TDot, TDot8>()
        where TDot : struct, IDot256
        where TDot8 : struct, IDot256
    {
        // Panels of q2_K have scaled codes with VNNI, and bytes are multiplied at once: for these it pays sooner that weights are packed.
        bool isWide = TDot.Tier == KernelTier.AvxVnni;
        int scaled = isWide ? 5 : int.MaxValue, bytes = isWide ? 3 : int.MaxValue;
        return
        [
            new Avx256FlatRowKernel<LayoutQ4_0, TDot>(preferredRows: 4),
            new PanelKernel<Avx256FlatPanel<LayoutQ4_0, TDot>>(isPacked: false), new PanelKernel<Avx256FlatPanel<LayoutQ4_0, TDot>>(isPacked: true, packedRows: 1),
            new Avx256FlatRowKernel<LayoutQ4_1, TDot>(preferredRows: 4),
            new PanelKernel<Avx256FlatPanel<LayoutQ4_1, TDot>>(isPacked: false), new PanelKernel<Avx256FlatPanel<LayoutQ4_1, TDot>>(isPacked: true, packedRows: 1),
            new Avx256FlatRowKernel<LayoutQ5_0, TDot>(preferredRows: 3),
            new PanelKernel<Avx256FlatPanel<LayoutQ5_0, TDot>>(isPacked: false), new PanelKernel<Avx256FlatPanel<LayoutQ5_0, TDot>>(isPacked: true, packedRows: 1),
            new Avx256FlatRowKernel<LayoutQ5_1, TDot>(preferredRows: 3),
            new PanelKernel<Avx256FlatPanel<LayoutQ5_1, TDot>>(isPacked: false), new PanelKernel<Avx256FlatPanel<LayoutQ5_1, TDot>>(isPacked: true, packedRows: 1),
            new Avx256FlatRowKernel<LayoutQ8_0, TDot8>(preferredRows: 4),
            new PanelKernel<Avx256FlatPanel<LayoutQ8_0, TDot8>>(isPacked: false), new PanelKernel<Avx256FlatPanel<LayoutQ8_0, TDot8>>(isPacked: true, packedRows: bytes),
            new Avx256RowKernel<LayoutQ2_K, TDot>(preferredRows: 7),
            new PanelKernel<Avx256Panel<LayoutQ2_K, TDot>>(isPacked: false), new PanelKernel<Avx256Panel<LayoutQ2_K, TDot>>(isPacked: true, packedRows: scaled),
            new Avx256RowKernel<LayoutQ3_K, TDot>(preferredRows: 8),
            new PanelKernel<Avx256Panel<LayoutQ3_K, TDot>>(isPacked: false), new PanelKernel<Avx256Panel<LayoutQ3_K, TDot>>(isPacked: true),
            new Avx256RowKernel<LayoutQ4_K, TDot>(preferredRows: 7),
            new PanelKernel<Avx256Panel<LayoutQ4_K, TDot>>(isPacked: false), new PanelKernel<Avx256Panel<LayoutQ4_K, TDot>>(isPacked: true, packedRows: 5),
            new Avx256RowKernel<LayoutQ5_K, TDot>(preferredRows: 8),
            new PanelKernel<Avx256Panel<LayoutQ5_K, TDot>>(isPacked: false), new PanelKernel<Avx256Panel<LayoutQ5_K, TDot>>(isPacked: true, packedRows: 7),
            new Avx256RowKernel<LayoutQ6_K, TDot>(preferredRows: 8),
            new PanelKernel<Avx256Panel<LayoutQ6_K, TDot>>(isPacked: false), new PanelKernel<Avx256Panel<LayoutQ6_K, TDot>>(isPacked: true),
        ];
    }
}
