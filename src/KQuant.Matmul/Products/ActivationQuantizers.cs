using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Products;

/// <summary>Every activation quantizer there is, best first. All give the same bits, for both schemes.</summary>
internal static class ActivationQuantizers
{
    public static IReadOnlyList<ActivationQuantizer> All => [.. KernelTables.All.SelectMany(table => table.Quantizers)];

    /// <summary>The best quantizer that this machine runs and that is not above <paramref name="maxTier"/>.</summary>
    public static ActivationQuantizer Select(KernelTier maxTier) => KernelTables.OfThisProcessor.SelectMany(table => table.Quantizers)
        .First(quantizer => KernelTiers.Allows(maxTier, quantizer.Tier) && quantizer.IsSupported);
}
