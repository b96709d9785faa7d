using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>The kernels that a context's options choose from the tables. Looked up once per format, so that products only read arrays.</summary>
internal sealed class KernelSet(KernelTier maxTier, bool deterministic)
{
    private const int FormatLimit = 1 + (int)QuantFormat.BF16;

    private readonly DecodeKernel?[] _decoders = new DecodeKernel?[FormatLimit];
    private readonly FloatKernel?[] _floats = new FloatKernel?[FormatLimit];

    /// <summary>The int8 kernel for a number of activation rows.</summary>
    /// <param name="format">Format of the weights.</param>
    /// <param name="rows">Activation rows.</param>
    /// <param name="packed">The kernel that the weights were packed for, if they were.</param>
    public ProductKernel Integer(QuantFormat format, int rows, ProductKernel? packed = null)
    {
        // Kernels for a few rows read wire bytes as fast as memory gives them: packed weights replace the panels, and what is slower than they are.
        ProductKernel kernel = ProductKernels.Select(format, rows, maxTier, deterministic);
        return packed is not null && packed.Tier == kernel.Tier && (packed.MaxRows <= kernel.MaxRows || packed.PackedRows <= rows) ? packed : kernel;
    }

    /// <summary>The kernel that weights of a format are packed for, if there is one.</summary>
    public ProductKernel? Packed(QuantFormat format) => ProductKernels.SelectPacked(format, maxTier);

    /// <summary>What rounds rows of activations to int8.</summary>
    public ActivationQuantizer Quantizer { get; } = ActivationQuantizers.Select(maxTier);

    /// <summary>The float kernel for weights in a float format.</summary>
    public FloatKernel Float(QuantFormat format) => _floats[(int)format] ??= FloatKernels.Select(format, maxTier);

    /// <summary>The decoder of a format.</summary>
    public DecodeKernel Decoder(QuantFormat format) => _decoders[(int)format] ??= DecodeKernels.Best(format, maxTier);
}
