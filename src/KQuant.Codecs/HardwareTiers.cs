using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs;

/// <summary>
/// What the processor could run, whatever this process was compiled for. A program compiled ahead of time uses only the instruction sets
/// that its <c>IlcInstructionSet</c> names, and <c>DOTNET_Enable*</c> switches sets off: then the processor has a better tier than
/// <see cref="KernelTiers.IsSupported"/> tells.
/// </summary>
public static class HardwareTiers
{
    /// <summary>
    /// The best tier that the processor has and that this process leaves unused; null when it uses the best one, or when the processor cannot
    /// be asked. <see cref="KernelTiers.MaxTierVariable"/> does not count: it caps what the process could run.
    /// </summary>
    public static KernelTier? Unused { get; } = FindUnused(KernelTiers.IsSupported, Has);

    /// <summary>Whether the processor has the instructions of a tier, according to its own identification (x86-64 only).</summary>
    /// <param name="tier">The tier asked about.</param>
    /// <returns>True when it has them. Where the processor cannot be asked, what <see cref="KernelTiers.IsSupported"/> says.</returns>
    public static bool Has(KernelTier tier)
    {
        if (!X86Base.IsSupported)
        {
            return KernelTiers.IsSupported(tier);
        }

        // Leaf 1: FMA, OSXSAVE (the system saves vector registers), AVX. Leaf 7.0: AVX2, AVX-512 F, DQ, BW, VL, VBMI, and GFNI. Leaf 7.1: AVX-VNNI.
        const int Vectors = (1 << 12) | (1 << 27) | (1 << 28), Avx2 = 1 << 5, Vnni = 1 << 4;
        const int Avx512 = (1 << 16) | (1 << 17) | (1 << 30) | (1 << 31), Vbmi = 1 << 1, Gfni = 1 << 8;
        int leaves = X86Base.CpuId(0, 0).Eax;
        (int subleaves, int features, int more, _) = leaves >= 7 ? X86Base.CpuId(7, 0) : default;
        bool hasAvx2 = (X86Base.CpuId(1, 0).Ecx & Vectors) == Vectors && (features & Avx2) != 0;
        return tier switch
        {
            KernelTier.Scalar or KernelTier.Portable => true,
            KernelTier.Avx2 => hasAvx2,
            KernelTier.AvxVnni => hasAvx2 && (more & Gfni) != 0 && subleaves >= 1 && (X86Base.CpuId(7, 1).Eax & Vnni) != 0,
            KernelTier.Avx512 => hasAvx2 && (features & Avx512) == Avx512 && (more & Vbmi) != 0,
            _ => false,
        };
    }

    internal static KernelTier? FindUnused(Func<KernelTier, bool> isSupported, Func<KernelTier, bool> has)
    {
        KernelTier? unused = null;
        foreach (KernelTier tier in KernelTiers.All)
        {
            unused = isSupported(tier) ? null : has(tier) ? tier : unused;
        }

        return unused;
    }
}
