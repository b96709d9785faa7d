using KQuant.Codecs;

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
    ];
}
