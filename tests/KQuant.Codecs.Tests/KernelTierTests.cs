namespace KQuant.Codecs.Tests;

/// <summary>The environment variable that caps the tier.</summary>
public class KernelTierTests
{
    [TestCase(null, KernelTier.Avx512)]
    [TestCase("", KernelTier.Avx512)]
    [TestCase("Avx2", KernelTier.Avx2)]
    [TestCase("portable", KernelTier.Portable)]
    [TestCase("SCALAR", KernelTier.Scalar)]
    public void ReadsTheCap(string? value, KernelTier expected) => Assert.That(KernelTiers.ReadMaxTier(value), Is.EqualTo(expected));

    [TestCase("Avx3")]
    [TestCase("99")]
    [TestCase("Avx2, Scalar2")]
    public void RefusesWhatIsNoTier(string value) => Assert.That(
        () => KernelTiers.ReadMaxTier(value),
        Throws.ArgumentException.With.Message.EqualTo(
            $"KQUANT_MAX_TIER is '{value}'; it must be one of Scalar, Portable, Neon, NeonDot, Avx2, AvxVnni, Avx512."));

    [Test]
    public void ListsEveryTierWorstFirst() => Assert.That(KernelTiers.All.ToArray(), Is.EqualTo(Enum.GetValues<KernelTier>()));

    [Test]
    public void ScalarRunsEverywhere() => Assert.That(KernelTiers.IsSupported(KernelTier.Scalar));
}
