using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels;

/// <summary>The specification of every product, which runs on any machine.</summary>
internal static unsafe class ScalarKernels
{
    /// <summary>All of them, best first.</summary>
    public static KernelTable All { get; } = new()
    {
        Products =
        [
            .. QuantCodec.Quantized.Where(codec => codec.Integers is not null).Select(codec => new ScalarKernel(codec)),
        ],
        Quantizers = [new(KernelTier.Scalar, &ScalarQuantizer.Quantize)],
        Floats =
        [
            new ScalarFloatKernel<F32Source, SeparateMultiplyAdd>(), new ScalarFloatKernel<F32Source, FusedMultiplyAdd>(),
            new ScalarFloatKernel<F16Source, SeparateMultiplyAdd>(), new ScalarFloatKernel<F16Source, FusedMultiplyAdd>(),
            new ScalarFloatKernel<BF16Source, SeparateMultiplyAdd>(), new ScalarFloatKernel<BF16Source, FusedMultiplyAdd>(),
        ],
    };
}
