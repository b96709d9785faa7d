using KQuant.Codecs;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Encoders;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;
using KQuant.Matmul.Products;

namespace KQuant.Models.Caching;

/// <summary>Rows of blocks of a codec, and what is computed with them: the best kernels of this machine, found once.</summary>
/// <param name="headSize">Values of a head, whole blocks.</param>
/// <param name="codec">A codec of 32 weights whose blocks are zero when their bytes are.</param>
internal sealed unsafe class BlockCoding(int headSize, QuantCodec codec) : RowCoding(headSize)
{
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

    public override int RowBytes { get; } = headSize / codec.WeightsPerBlock * codec.BytesPerBlock;

    /// <summary>Encodes a row as ggml's reference does; what binary16 has no number for becomes the largest that it has.</summary>
    public override void Encode(float* values, byte* row)
    {
        RowScale.Clamp(new Span<float>(values, HeadSize));
        _encoder.Run(new EncodeTask(values, row, null, HeadSize, 1));
    }

    public override void Decode(byte* rows, int count, float* values, int stride)
    {
        if (stride == HeadSize)
        {
            _decoder.Run(rows, values, count * (HeadSize / codec.WeightsPerBlock));
            return;
        }

        for (int i = 0; i < count; i++)
        {
            _decoder.Run(rows + ((nint)i * RowBytes), values + ((nint)i * stride), HeadSize / codec.WeightsPerBlock);
        }
    }
}
