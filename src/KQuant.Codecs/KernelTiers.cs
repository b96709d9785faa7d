using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs;

/// <summary>What this machine can run.</summary>
public static class KernelTiers
{
    /// <summary>The environment variable that caps the tier of a whole process, by name: <c>KQUANT_MAX_TIER=Avx2</c>.</summary>
    public const string MaxTierVariable = "KQUANT_MAX_TIER";

    private const int ValuesPerFamily = 100;

    private static readonly string? VariableOfProcess = Environment.GetEnvironmentVariable(MaxTierVariable);

    // Null when the variable names no tier: that is an exception wherever the tier is asked for, and no type that failed to initialize.
    private static readonly KernelTier? MaxOfProcess = TryRead(VariableOfProcess);

    /// <summary>Every tier, family by family and worst first, whether this machine has it or not.</summary>
    public static ReadOnlySpan<KernelTier> All =>
    [
        KernelTier.Scalar, KernelTier.Portable, KernelTier.Avx2, KernelTier.AvxVnni, KernelTier.Avx512, KernelTier.Neon, KernelTier.NeonDot,
    ];

    /// <summary>
    /// The best tier that kernels are chosen from: what <see cref="MaxTierVariable"/> names, else the best that this machine has. A tier of another
    /// family than the machine's leaves those that run on every machine.
    /// </summary>
    /// <exception cref="ArgumentException">The environment variable names no tier.</exception>
    public static KernelTier Max => MaxOfProcess ?? ReadMaxTier(VariableOfProcess);

    /// <summary>The best tier that this machine has.</summary>
    internal static KernelTier Best
    {
        get
        {
            // A machine has one family beside those of every machine.
            KernelTier best = KernelTier.Scalar;
            foreach (KernelTier tier in All)
            {
                best = IsSupported(tier) ? tier : best;
            }

            return best;
        }
    }

    /// <summary>Whether this machine (as configured by <c>DOTNET_Enable*</c>) runs <paramref name="tier"/>.</summary>
    /// <param name="tier">The tier asked about.</param>
    /// <returns>True when kernels of that tier can be called.</returns>
    public static bool IsSupported(KernelTier tier) => tier switch
    {
        KernelTier.Scalar => true,
        KernelTier.Portable => Vector128.IsHardwareAccelerated,
        KernelTier.Neon => AdvSimd.Arm64.IsSupported,
        KernelTier.NeonDot => AdvSimd.Arm64.IsSupported && Dp.IsSupported,
        KernelTier.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        KernelTier.AvxVnni => Avx2.IsSupported && Fma.IsSupported && AvxVnni.IsSupported && Gfni.V256.IsSupported,
        KernelTier.Avx512 => Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported && Avx512Vbmi.VL.IsSupported,
        _ => false,
    };

    /// <summary>Whether kernels of a tier may be chosen under a cap: those of its family up to it, and those of every machine.</summary>
    internal static bool Allows(KernelTier cap, KernelTier tier) =>
        tier <= cap && ((int)tier < ValuesPerFamily || (int)tier / ValuesPerFamily == (int)cap / ValuesPerFamily);

    /// <summary>Whether there is such a tier.</summary>
    internal static bool IsDefined(KernelTier tier) => All.Contains(tier);

    internal static KernelTier ReadMaxTier(string? value) => TryRead(value)
        ?? throw new ArgumentException($"{MaxTierVariable} is '{value}'; it must be one of {string.Join(", ", All.ToArray())}.");

    private static KernelTier? TryRead(string? value)
    {
        if (string.IsNullOrEmpty(value))
        {
            return Best;
        }

        foreach (KernelTier tier in All)
        {
            if (string.Equals(value, tier.ToString(), StringComparison.OrdinalIgnoreCase))
            {
                return tier;
            }
        }

        return null;
    }
}
