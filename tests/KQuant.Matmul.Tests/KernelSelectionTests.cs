using KQuant.Codecs;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;

namespace KQuant.Matmul.Tests;

/// <summary>What the kernel table offers and how it is chosen from.</summary>
public class KernelSelectionTests
{
    private static IEnumerable<QuantCodec> Codecs => QuantCodec.Quantized;

    /// <summary>Codecs that have more than the scalar kernel, and then one on every tier.</summary>
    private static IEnumerable<QuantCodec> FastCodecs =>
        QuantCodec.Quantized.Where(codec => ProductKernels.All.Any(kernel => kernel.Codec == codec && kernel.Tier != KernelTier.Scalar));

    [Test]
    public void NamesAreUnique() => Assert.That(ProductKernels.All.Select(kernel => kernel.ToString()), Is.Unique);

    [TestCaseSource(nameof(Codecs))]
    public void EveryProductHasAKernel(QuantCodec codec)
    {
        foreach (KernelTier tier in KernelTiers.All)
        {
            foreach (int rows in (int[])[1, 2, 5, 8, 9, 100_000])
            {
                foreach (bool canonical in (bool[])[false, true])
                {
                    ProductKernel? kernel = ProductKernels.Select(codec, rows, tier, canonical);
                    Assert.That(kernel is null, Is.EqualTo(codec.Integers is null), "without integers, products are in float32");
                    if (kernel is null)
                    {
                        continue;
                    }

                    Assert.That(kernel.Codec, Is.SameAs(codec));
                    Assert.That(kernel.IsSupported && KernelTiers.Allows(tier, kernel.Tier) && rows <= kernel.MaxRows && !kernel.IsPacked, Is.True);
                    Assert.That(kernel.IsCanonical || !canonical, Is.True);
                }
            }
        }
    }

    [TestCaseSource(nameof(FastCodecs))]
    public void TheBestTierOfTheMachineIsUsed(QuantCodec codec)
    {
        if (!KernelTiers.IsSupported(KernelTier.Avx512) || !KernelTiers.IsSupported(KernelTier.AvxVnni))
        {
            Assert.Ignore("This machine has no AVX-512 with AVX-VNNI.");
        }

        Assert.That(ProductKernels.Select(codec, 1, KernelTier.Avx512, canonical: false)!.ToString(), Does.EndWith("Avx512 row"));
        Assert.That(ProductKernels.Select(codec, 1, KernelTier.Avx512, canonical: true)!.ToString(), Does.EndWith("Avx512 panel"));
        Assert.That(ProductKernels.Select(codec, 512, KernelTier.Avx512, canonical: false)!.ToString(), Does.EndWith("Avx512 panel"));
        Assert.That(ProductKernels.SelectPacked(codec, KernelTier.Avx512)!.ToString(), Does.EndWith("Avx512 packed"));
    }

    [TestCaseSource(nameof(FastCodecs))]
    public void ACappedTierIsUsed(QuantCodec codec)
    {
        foreach (KernelTier tier in KernelTiers.All)
        {
            if (tier != KernelTier.Avx512 && KernelTiers.IsSupported(tier))
            {
                Assert.That(ProductKernels.Select(codec, 1, tier, canonical: false)!.Tier, Is.EqualTo(tier));
                Assert.That(ProductKernels.Select(codec, 1, tier, canonical: true)!.Tier, Is.EqualTo(tier));
                Assert.That(ProductKernels.Select(codec, 512, tier, canonical: false)!.Tier, Is.EqualTo(tier));
            }
        }
    }
}
