using KQuant.Codecs;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Products;

/// <summary>Every float kernel there is, best first for each format. Tests, benchmarks and the command line walk the table.</summary>
internal static class FloatKernels
{
    private static readonly FloatKernel[] Usable = [.. KernelTables.OfThisProcessor.SelectMany(table => table.Floats)];

    public static IReadOnlyList<FloatKernel> All => [.. KernelTables.All.SelectMany(table => table.Floats)];

    /// <summary>
    /// The best kernel of a float format that this machine runs and that is not above <paramref name="maxTier"/>. Products are rounded
    /// before they are added only where the processor cannot help it, and where nobody asked for the bits of other machines.
    /// </summary>
    public static FloatKernel Select(QuantCodec codec, KernelTier maxTier, bool deterministic)
    {
        bool separately = !deterministic && !FusedMultiplyAdd.IsHardwareAccelerated;
        foreach (FloatKernel kernel in Usable)
        {
            if (kernel.Codec == codec && KernelTiers.Allows(maxTier, kernel.Tier) && kernel.IsSupported && (kernel.IsCanonical || separately))
            {
                return kernel;
            }
        }

        throw new NotSupportedException($"{codec.Name} has no float kernel.");
    }
}
