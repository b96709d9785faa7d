using KQuant.Codecs;
using KQuant.Codecs.Decoding;
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
    public ProductKernel Integer(QuantFormat format, int rows) => ProductKernels.Select(format, rows, maxTier, deterministic);

    /// <summary>The float kernel for weights in a float format.</summary>
    public FloatKernel Float(QuantFormat format) => _floats[(int)format] ??= FloatKernels.Select(format, maxTier);

    /// <summary>The decoder of a format.</summary>
    public DecodeKernel Decoder(QuantFormat format) => _decoders[(int)format] ??= DecodeKernels.Best(format, maxTier);
}
