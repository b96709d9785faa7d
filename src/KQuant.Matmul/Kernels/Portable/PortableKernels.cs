using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>The kernels of portable 128-bit vectors.</summary>
internal static unsafe class PortableKernels
{
    /// <summary>All of them, best first.</summary>
    public static KernelTable All { get; } = new()
    {
        Products =
        [
            new PortableKernel<PortableFlatUnit<LayoutQ4_0>>(), new PortableKernel<PortableFlatUnit<LayoutQ4_1>>(),
            new PortableKernel<PortableFlatUnit<LayoutQ5_0>>(), new PortableKernel<PortableFlatUnit<LayoutQ5_1>>(),
            new PortableKernel<PortableFlatUnit<LayoutQ8_0>>(), new PortableKernel<PortableKUnit<LayoutQ2_K>>(),
            new PortableKernel<PortableKUnit<LayoutQ3_K>>(), new PortableKernel<PortableKUnit<LayoutQ4_K>>(),
            new PortableKernel<PortableKUnit<LayoutQ5_K>>(), new PortableKernel<PortableKUnit<LayoutQ6_K>>(),
        ],
        Quantizers = [new(KernelTier.Portable, &TieredQuantizer<PortableQuantizer>.Quantize)],
        Floats =
        [
            new VectorFloatKernel<PortableLanes<SeparateMultiplyAdd>, F32Source>(), new VectorFloatKernel<PortableLanes<FusedMultiplyAdd>, F32Source>(),
            new VectorFloatKernel<PortableLanes<SeparateMultiplyAdd>, F16Source>(), new VectorFloatKernel<PortableLanes<FusedMultiplyAdd>, F16Source>(),
            new VectorFloatKernel<PortableLanes<SeparateMultiplyAdd>, BF16Source>(), new VectorFloatKernel<PortableLanes<FusedMultiplyAdd>, BF16Source>(),
        ],
    };
}
