using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Kernels.Avx256;
using KQuant.Matmul.Kernels.Avx512;
using KQuant.Matmul.Kernels.Neon;
using KQuant.Matmul.Kernels.Portable;

namespace KQuant.Matmul.Products;

/// <summary>The tables of all families of instruction sets: one line for each.</summary>
internal static class KernelTables
{
    /// <summary>All of them, best first; what runs everywhere is last.</summary>
    public static IReadOnlyList<KernelTable> All =>
    [
        Avx512Kernels.All,
        Avx256Kernels.All,
        NeonKernels.All,
        PortableKernels.All,
        ScalarKernels.All,
    ];

    /// <summary>
    /// Those of this kind of processor, which is where kernels are chosen from: code for another kind cannot be compiled in advance, and
    /// looking at its table would compile hundreds of methods at every start.
    /// </summary>
    public static IReadOnlyList<KernelTable> OfThisProcessor { get; } =
    [
        .. X86Base.IsSupported ? (KernelTable[])[Avx512Kernels.All, Avx256Kernels.All] : [],
        .. ArmBase.IsSupported ? (KernelTable[])[NeonKernels.All] : [],
        PortableKernels.All,
        ScalarKernels.All,
    ];
}
