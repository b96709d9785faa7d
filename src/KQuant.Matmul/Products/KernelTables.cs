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
    public static IReadOnlyList<KernelTable> All { get; } =
    [
        Avx512Kernels.All,
        Avx256Kernels.All,
        NeonKernels.All,
        PortableKernels.All,
        ScalarKernels.All,
    ];
}
