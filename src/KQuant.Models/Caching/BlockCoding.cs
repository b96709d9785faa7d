using System.Numerics.Tensors;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Encoders;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;

namespace KQuant.Models.Caching;

/// <summary>How rows of a cache become blocks of a codec, and what is computed with them: the best kernels of this machine, found once.</summary>
/// <param name="codec">A codec of 32 weights whose blocks are zero when their bytes are.</param>
internal sealed unsafe class BlockCoding(QuantCodec codec)
{
    /// <summary>The largest number that scales and minima of all codecs can express: that of binary16.</summary>
    private const float Largest = 65504;

    private readonly EncodeKernel _encoder = EncodeKernels.Best(codec, KernelTiers.Max);
    private readonly DecodeKernel _decoder = DecodeKernels.Best(codec, KernelTiers.Max);

    public QuantCodec Codec => codec;

    /// <summary>
    /// Products of int8 queries with rows. One kernel for any number of queries, so that the bits of a score do not depend on how many there
    /// are beside it.
    /// </summary>
    public ProductKernel Products { get; } = ProductKernels.Select(codec, 1, KernelTiers.Max, canonical: false)!;

    /// <summary>What makes int8 of queries.</summary>
    public ActivationQuantizer Quantizer { get; } = ActivationQuantizers.Select(KernelTiers.Max);

    /// <summary>Bytes of a row of so many values.</summary>
    public int GetRowBytes(int values) => values / codec.WeightsPerBlock * codec.BytesPerBlock;

    /// <summary>Encodes a row as ggml's reference does; what binary16 has no number for becomes the largest that it has.</summary>
    /// <param name="values">The row, finite; changed if some of it is too large.</param>
    /// <param name="count">Values, whole blocks.</param>
    /// <param name="blocks">Receives the blocks.</param>
    public void Encode(float* values, int count, byte* blocks)
    {
        var row = new Span<float>(values, count);
        if (MathF.Abs(TensorPrimitives.MaxMagnitude((ReadOnlySpan<float>)row)) > Largest)
        {
            TensorPrimitives.Min(row, Largest, row);
            TensorPrimitives.Max(row, -Largest, row);
        }

        _encoder.Run(new EncodeTask(values, blocks, null, count, 1));
    }

    /// <summary>Decodes values that follow each other.</summary>
    /// <param name="blocks">The blocks.</param>
    /// <param name="values">Receives the values.</param>
    /// <param name="count">Values, whole blocks.</param>
    public void Decode(byte* blocks, float* values, int count) => _decoder.Run(blocks, values, count / codec.WeightsPerBlock);
}
