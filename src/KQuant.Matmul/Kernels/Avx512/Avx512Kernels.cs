using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>The kernels of AVX-512.</summary>
internal static unsafe class Avx512Kernels
{
    /// <summary>All of them, best first.</summary>
    public static KernelTable All { get; } = new()
    {
        Products =
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
        ],
        Quantizers = [new(KernelTier.Avx512, &TieredQuantizer<Avx512Quantizer>.Quantize)],
        Floats =
        [
            new VectorFloatKernel<Avx512Lanes, F32Source>(), new VectorFloatKernel<Avx512Lanes, F16Source>(), new VectorFloatKernel<Avx512Lanes, BF16Source>(),
        ],
    };
}
