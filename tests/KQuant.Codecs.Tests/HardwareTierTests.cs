namespace KQuant.Codecs.Tests;

/// <summary>What the processor has beside what the process uses.</summary>
public class HardwareTierTests
{
    private static readonly KernelTier[] All = KernelTiers.All.ToArray();

    [Test]
    public void TheProcessorHasWhateverIsSupported([ValueSource(nameof(All))] KernelTier tier) =>
        Assert.That(HardwareTiers.Has(tier) || !KernelTiers.IsSupported(tier));

    [TestCase(KernelTier.Portable, KernelTier.Avx512, KernelTier.Avx512)]
    [TestCase(KernelTier.Avx2, KernelTier.AvxVnni, KernelTier.AvxVnni)]
    [TestCase(KernelTier.Avx2, KernelTier.Avx2, null)]
    [TestCase(KernelTier.Avx512, KernelTier.Avx512, null)]
    public void TheBestTierThatIsLeftUnusedIsTold(KernelTier supported, KernelTier has, KernelTier? expected) =>
        Assert.That(HardwareTiers.FindUnused(tier => tier <= supported, tier => tier <= has), Is.EqualTo(expected));

    [Test]
    public void AWorseTierThatIsMissingIsNoLoss() => Assert.That(
        HardwareTiers.FindUnused(tier => tier != KernelTier.AvxVnni, _ => true), Is.Null);
}
