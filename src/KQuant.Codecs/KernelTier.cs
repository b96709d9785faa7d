using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs;

/// <summary>
/// The instruction set a kernel is written for, worst first. <see cref="Scalar"/> is the specification; every other tier gives the same
/// result faster.
/// </summary>
public enum KernelTier
{
    /// <summary>Plain C#: the definition of the format, and the fall-back everywhere.</summary>
    Scalar = 0,

    /// <summary>Portable 128-bit vectors: any machine with SSE or NEON.</summary>
    Portable = 1,

    /// <summary>ARM64 NEON.</summary>
    Neon = 2,

    /// <summary>ARM64 NEON with the dot-product instructions (<c>sdot</c>, <c>udot</c>).</summary>
    NeonDot = 3,

    /// <summary>x86-64 AVX2 and FMA.</summary>
    Avx2 = 4,

    /// <summary>AVX2 with the 256-bit byte dot product (<c>vpdpbusd</c>).</summary>
    AvxVnni = 5,

    /// <summary>AVX-512 F, BW, DQ, VL and VBMI.</summary>
    Avx512 = 6,
}

/// <summary>What this machine can run.</summary>
public static class KernelTiers
{
    /// <summary>The environment variable that caps the tier of a whole process, by name: <c>KQUANT_MAX_TIER=Avx2</c>.</summary>
    public const string MaxTierVariable = "KQUANT_MAX_TIER";

    /// <summary>Every tier, worst first, whether this machine has it or not.</summary>
    public static ReadOnlySpan<KernelTier> All =>
    [
        KernelTier.Scalar, KernelTier.Portable, KernelTier.Neon, KernelTier.NeonDot,
        KernelTier.Avx2, KernelTier.AvxVnni, KernelTier.Avx512,
    ];

    /// <summary>The best tier that kernels are chosen from: what <see cref="MaxTierVariable"/> names, else the best there is.</summary>
    /// <exception cref="ArgumentException">The environment variable names no tier.</exception>
    public static KernelTier Max { get; } = ReadMaxTier(Environment.GetEnvironmentVariable(MaxTierVariable));

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
        KernelTier.AvxVnni => Avx2.IsSupported && Fma.IsSupported && AvxVnni.IsSupported,
        KernelTier.Avx512 => Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported && Avx512Vbmi.VL.IsSupported,
        _ => false,
    };

    internal static KernelTier ReadMaxTier(string? value)
    {
        if (string.IsNullOrEmpty(value))
        {
            return KernelTier.Avx512;
        }

        return Enum.TryParse(value, ignoreCase: true, out KernelTier tier) && Enum.IsDefined(tier)
            ? tier
            : throw new ArgumentException(
                $"{MaxTierVariable} is '{value}'; it must be one of {string.Join(", ", Enum.GetNames<KernelTier>())}.");
    }
}
