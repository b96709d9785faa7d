using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>A NEON kernel: static code that <see cref="NeonKernel{TProduct}"/> puts into the table.</summary>
internal unsafe interface INeonProduct
{
    /// <inheritdoc cref="ProductKernel.Codec"/>
    static abstract QuantFormat Format { get; }

    /// <inheritdoc cref="ProductKernel.Tier"/>
    static abstract KernelTier Tier { get; }

    /// <inheritdoc cref="ProductKernel.Name"/>
    static abstract string Name { get; }

    /// <inheritdoc cref="ProductKernel.IsCanonical"/>
    static abstract bool IsCanonical { get; }

    /// <inheritdoc cref="ProductKernel.MaxRows"/>
    static abstract int MaxRows { get; }

    /// <inheritdoc cref="ProductKernel.Granule"/>
    static abstract int Granule { get; }

    /// <inheritdoc cref="ProductKernel.GetActivationBytes"/>
    static abstract nint GetActivationBytes(int rows, int units);

    /// <inheritdoc cref="ProductKernel.GetScratchBytes"/>
    static abstract nint GetScratchBytes(int units);

    /// <inheritdoc cref="ProductKernel.Arrange"/>
    static abstract void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination);

    /// <inheritdoc cref="ProductKernel.Run"/>
    static abstract void Run(in ProductTask task, byte* scratch);
}
