namespace KQuant.Codecs.Tests;

/// <summary>The tiers, and the environment variable that caps them.</summary>
public class KernelTierTests
{
    [TestCase("Avx2", KernelTier.Avx2)]
    [TestCase("portable", KernelTier.Portable)]
    [TestCase("SCALAR", KernelTier.Scalar)]
    [TestCase("NeonDot", KernelTier.NeonDot)]
    public void ReadsTheCap(string value, KernelTier expected) => Assert.That(KernelTiers.ReadMaxTier(value), Is.EqualTo(expected));

    [TestCase(null)]
    [TestCase("")]
    public void WithoutACapItIsTheBestOfTheMachine(string? value)
    {
        KernelTier best = KernelTiers.ReadMaxTier(value);
        Assert.Multiple(() =>
        {
            Assert.That(KernelTiers.IsSupported(best));
            Assert.That(
                KernelTiers.All.ToArray().Where(KernelTiers.IsSupported), Is.All.Matches<KernelTier>(tier => KernelTiers.Allows(best, tier)));
        });
    }

    [TestCase("Avx3")]
    [TestCase("99")]
    [TestCase("100")]
    [TestCase("Avx2, Scalar")]
    public void RefusesWhatIsNoTier(string value) => Assert.That(
        () => KernelTiers.ReadMaxTier(value),
        Throws.ArgumentException.With.Message.EqualTo(
            $"KQUANT_MAX_TIER is '{value}'; it must be one of Scalar, Portable, Avx2, AvxVnni, Avx512, Neon, NeonDot."));

    [Test]
    public void ListsEveryTier() => Assert.That(KernelTiers.All.ToArray(), Is.EqualTo(Enum.GetValues<KernelTier>()));

    // Written down once more, because programs that were compiled with a value keep it.
    [TestCase(KernelTier.Scalar, 0)]
    [TestCase(KernelTier.Portable, 10)]
    [TestCase(KernelTier.Avx2, 100)]
    [TestCase(KernelTier.AvxVnni, 110)]
    [TestCase(KernelTier.Avx512, 120)]
    [TestCase(KernelTier.Neon, 200)]
    [TestCase(KernelTier.NeonDot, 210)]
    public void ValuesNeverChange(KernelTier tier, int value) => Assert.That((int)tier, Is.EqualTo(value));

    [TestCase(KernelTier.Avx2, "Scalar, Portable, Avx2")]
    [TestCase(KernelTier.Avx512, "Scalar, Portable, Avx2, AvxVnni, Avx512")]
    [TestCase(KernelTier.NeonDot, "Scalar, Portable, Neon, NeonDot")]
    [TestCase(KernelTier.Portable, "Scalar, Portable")]
    [TestCase(KernelTier.Scalar, "Scalar")]
    public void ACapAllowsItsFamilyUpToItAndWhatRunsEverywhere(KernelTier cap, string expected) => Assert.That(
        string.Join(", ", KernelTiers.All.ToArray().Where(tier => KernelTiers.Allows(cap, tier))), Is.EqualTo(expected));

    [Test]
    public void ScalarRunsEverywhere() => Assert.That(KernelTiers.IsSupported(KernelTier.Scalar));
}
