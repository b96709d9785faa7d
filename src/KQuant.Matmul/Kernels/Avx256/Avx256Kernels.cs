using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels.Avx256;

/// <summary>The kernels of the tiers with 256-bit vectors, AVX2 and AVX-VNNI.</summary>
internal static unsafe class Avx256Kernels
{
    /// <summary>All of them, best first.</summary>
    public static KernelTable All { get; } = new()
    {
        Products = [.. Of<AvxVnniDot, AvxVnniDot>(), .. Of<Avx2Dot, Avx2SignedDot>()],
        Quantizers = [new(KernelTier.Avx2, &TieredQuantizer<Avx2Quantizer>.Quantize)],
        Floats =
        [
            new VectorFloatKernel<Avx2Lanes, F32Source>(), new VectorFloatKernel<Avx2Lanes, F16Source>(), new VectorFloatKernel<Avx2Lanes, BF16Source>(),
        ],
    };

    /// <summary>The products of one tier, best first for each format.</summary>
    /// <typeparam name="TDot">How bytes are multiplied.</typeparam>
    /// <typeparam name="TDot8">The same for codes of 8 bits.</typeparam>
    private static IReadOnlyList<ProductKernel> Of<TDot, TDot8>()
        where TDot : struct, IAvx256Dot
        where TDot8 : struct, IAvx256Dot
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
