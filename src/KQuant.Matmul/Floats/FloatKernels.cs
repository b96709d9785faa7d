using KQuant.Codecs;

namespace KQuant.Matmul.Floats;

/// <summary>Every float kernel there is, best first for each format. Tests, benchmarks and the command line walk the table.</summary>
internal static class FloatKernels
{
    public static IReadOnlyList<FloatKernel> All { get; } =
    [
        new VectorFloatKernel<Lanes512, F32Source>(), new VectorFloatKernel<Lanes512, F16Source>(),
        new VectorFloatKernel<Lanes512, BF16Source>(),
        new VectorFloatKernel<Lanes256, F32Source>(), new VectorFloatKernel<Lanes256, F16Source>(),
        new VectorFloatKernel<Lanes256, BF16Source>(),
        new VectorFloatKernel<Lanes128, F32Source>(), new VectorFloatKernel<Lanes128, F16Source>(),
        new VectorFloatKernel<Lanes128, BF16Source>(),
        new ScalarFloatKernel<F32Source>(), new ScalarFloatKernel<F16Source>(), new ScalarFloatKernel<BF16Source>(),
    ];

    /// <summary>The best kernel of a float format that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static FloatKernel Select(QuantFormat format, KernelTier maxTier)
    {
        for (int i = 0; i < All.Count; i++)
        {
            if (All[i].Format == format && All[i].Tier <= maxTier && All[i].IsSupported)
            {
                return All[i];
            }
        }

        throw new NotSupportedException($"{format} has no float kernel.");
    }
}
