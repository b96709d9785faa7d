using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;

namespace KQuant.Matmul.Kernels;

/// <summary>What a family of instruction sets has to offer, best first in each list. Its folder has one; <c>KernelTables</c> puts them together.</summary>
internal sealed class KernelTable
{
    /// <summary>Products with int8 activations: rows, panels and packed panels, best first for each format.</summary>
    public required IReadOnlyList<ProductKernel> Products { get; init; }

    /// <summary>What rounds activations to int8.</summary>
    public IReadOnlyList<ActivationQuantizer> Quantizers { get; init; } = [];

    /// <summary>Products with float32 activations, best first for each format.</summary>
    public IReadOnlyList<FloatKernel> Floats { get; init; } = [];
}
