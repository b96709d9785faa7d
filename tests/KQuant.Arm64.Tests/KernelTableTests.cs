using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Products;

namespace KQuant.Arm64.Tests;

/// <summary>What an ARM64 machine chooses from, as far as it can be said without one.</summary>
public class KernelTableTests
{
    private static IEnumerable<QuantFormat> Formats => QuantCodec.All.Select(codec => codec.Format);

    [TestCaseSource(nameof(Formats))]
    public void ProductsTryTheBetterTierFirstAndRowsBeforePanels(QuantFormat format) => Assert.That(
        from kernel in ProductKernels.All
        where kernel.Format == format && (kernel.Tier is KernelTier.Scalar or KernelTier.Neon or KernelTier.NeonDot)
        select $"{kernel.Tier} {kernel.Name}",
        Is.EqualTo(["NeonDot row", "NeonDot panel", "Neon row", "Neon panel", "Scalar scalar"]));

    [TestCaseSource(nameof(Formats))]
    public void ThereIsADecoder(QuantFormat format) => Assert.That(
        DecodeKernels.All.Where(kernel => kernel.Format == format && kernel.Tier == KernelTier.Neon), Has.Exactly(1).Items);
}
