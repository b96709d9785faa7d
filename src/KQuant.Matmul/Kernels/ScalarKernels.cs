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
            new ScalarKernel<UnitQ4_0>(QuantFormat.Q4_0), new ScalarKernel<UnitQ4_1>(QuantFormat.Q4_1),
            new ScalarKernel<UnitQ5_0>(QuantFormat.Q5_0), new ScalarKernel<UnitQ5_1>(QuantFormat.Q5_1),
            new ScalarKernel<UnitQ8_0>(QuantFormat.Q8_0), new ScalarKernel<UnitQ2_K>(QuantFormat.Q2_K),
            new ScalarKernel<UnitQ3_K>(QuantFormat.Q3_K), new ScalarKernel<UnitQ4_K>(QuantFormat.Q4_K),
            new ScalarKernel<UnitQ5_K>(QuantFormat.Q5_K), new ScalarKernel<UnitQ6_K>(QuantFormat.Q6_K),
        ],
        Quantizers = [new(KernelTier.Scalar, &ScalarQuantizer.Quantize)],
        Floats =
        [
            new ScalarFloatKernel<F32Source>(), new ScalarFloatKernel<F16Source>(), new ScalarFloatKernel<BF16Source>(),
        ],
    };
}
