using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Products;

namespace KQuant.Arm64.Tests;

/// <summary>What an ARM64 machine chooses from, as far as it can be said without one.</summary>
public class KernelTableTests
{
    private static IEnumerable<QuantCodec> Codecs => QuantCodec.Quantized.Where(codec => ProductKernels.All.Any(kernel => kernel.Codec == codec && kernel.Tier != KernelTier.Scalar));

    [TestCaseSource(nameof(Codecs))]
    public void ProductsTryTheBetterTierFirstAndRowsBeforePanels(QuantCodec codec) => Assert.That(
        from kernel in ProductKernels.All
        where kernel.Codec == codec && (kernel.Tier is KernelTier.Scalar or KernelTier.Neon or KernelTier.NeonDot)
        select $"{kernel.Tier} {kernel.Name}",
        Is.EqualTo(["NeonDot row", "NeonDot panel", "Neon row", "Neon panel", "Scalar scalar"]));

    [TestCaseSource(nameof(Codecs))]
    public void ThereIsADecoder(QuantCodec codec) => Assert.That(
        DecodeKernels.All.Where(kernel => kernel.Codec == codec && kernel.Tier == KernelTier.Neon), Has.Exactly(1).Items);
}
