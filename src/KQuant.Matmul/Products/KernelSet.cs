using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Floats;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Products;

/// <summary>The kernels that a context's options choose from the tables. Looked up once per codec, so that products only read arrays.</summary>
internal sealed class KernelSet(KernelTier maxTier, bool deterministic)
{
    private DecodeKernel?[] _decoders = new DecodeKernel?[QuantCodec.All.Count];
    private ProductKernel?[] _scalars = [];
    private FloatKernel?[] _floats = new FloatKernel?[QuantCodec.All.Count];

    /// <summary>The int8 kernel for a number of activation rows; null for a codec that is multiplied in float32.</summary>
    /// <param name="codec">Codec of the weights.</param>
    /// <param name="rows">Activation rows.</param>
    /// <param name="packed">The kernel that the weights were packed for, if they were.</param>
    public ProductKernel? Integer(QuantCodec codec, int rows, ProductKernel? packed = null)
    {
        // Kernels for a few rows read wire bytes as fast as memory gives them: packed weights replace the panels, and what is slower than they are.
        // A codec that is not in the table, such as one with parameters of its own, has the scalar kernel too.
        ProductKernel? kernel = ProductKernels.Select(codec, rows, maxTier, deterministic)
            ?? (codec.Integers is null ? null : At(ref _scalars, codec) ??= new ScalarKernel(codec));
        return packed is not null && packed.Tier == kernel!.Tier && (packed.MaxRows <= kernel.MaxRows || packed.PackedRows <= rows) ? packed : kernel;
    }

    /// <summary>The kernel that weights of a codec are packed for, if there is one.</summary>
    public ProductKernel? Packed(QuantCodec codec) => ProductKernels.SelectPacked(codec, maxTier);

    /// <summary>What rounds rows of activations to int8.</summary>
    public ActivationQuantizer Quantizer { get; } = ActivationQuantizers.Select(maxTier);

    /// <summary>The float kernel for weights that were decoded.</summary>
    public FloatKernel Float32 { get; } = FloatKernels.Select(QuantCodec.Get(QuantFormat.F32), maxTier, deterministic);

    /// <summary>The float kernel for weights in a float format.</summary>
    public FloatKernel Float(QuantCodec codec) => At(ref _floats, codec) ??= FloatKernels.Select(codec, maxTier, deterministic);

    /// <summary>The decoder of a codec.</summary>
    public DecodeKernel Decoder(QuantCodec codec) => At(ref _decoders, codec) ??= DecodeKernels.Best(codec, maxTier);

    // Products on several threads may look something up for the first time at once: they find the same kernel, and whose array stays does not matter.
    private static ref T? At<T>(ref T?[] table, QuantCodec codec)
        where T : class
    {
        T?[] current = table;
        if (codec.Index >= current.Length)
        {
            Array.Resize(ref current, codec.Index + 1);
            table = current;
        }

        return ref current[codec.Index];
    }
}
