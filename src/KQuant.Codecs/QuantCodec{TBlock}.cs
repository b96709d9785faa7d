using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using KQuant.Codecs.Blocks;
using KQuant.Codecs.Decoding;
using KQuant.Codecs.Encoders;
using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;

namespace KQuant.Codecs;

/// <summary>Erases the block type for callers who only have a name or a file.</summary>
internal sealed unsafe class QuantCodec<TBlock> : QuantCodec
    where TBlock : unmanaged, IQuantBlock<TBlock>
{
    // What a thread encodes before it asks for more: long against the asking, short against a matrix, and with room for many blocks side by
    // side.
    private const int WeightsPerTurn = 16384;

    // What is decoded to float at a time on the way to a 16-bit destination: it stays in the first-level cache.
    private const int BufferedWeights = 2048;

    private DecodeKernel? _decoder;
    private EncodeKernel? _encoder;

    public QuantCodec()
        : base(TBlock.Name, TBlock.Format, TBlock.WeightsPerBlock, new CodecPlane { Name = "weight", BytesPerBlock = Unsafe.SizeOf<TBlock>() })
    {
        ScalarDecoder = new DecodeKernel(this, KernelTier.Scalar, &ScalarDecoders.Decode<TBlock>);
        ScalarEncoder = new EncodeKernel(this, KernelTier.Scalar, &ScalarEncoders.Encode<TBlock>);
    }

    public override QuantCodec Fallback => Get(TBlock.Fallback ?? QuantFormat.F16);

    public override GgufFileType? FileType => TBlock.FileType;

    public override double ErrorLimit => TBlock.ErrorLimit;

    public override KernelTier DecodeTier => Decoder.Tier;

    public override KernelTier EncodeTier => Encoder.Tier;

    internal override IntegerForm? Integers => TBlock.Integers;

    internal override ReadOnlySpan<int> ScaleOffsets => TBlock.ScaleOffsets;

    internal override float MaxWeight => TBlock.MaxWeight;

    internal override DecodeKernel ScalarDecoder { get; }

    internal override EncodeKernel? ScalarEncoder { get; }

    private EncodeKernel Encoder => _encoder ??= EncodeKernels.Best(this, KernelTiers.Max);

    // When it is needed: the table of decoders is made from that of codecs, and that there are codecs does not depend on what the environment says.
    private DecodeKernel Decoder => _decoder ??= DecodeKernels.Best(this, KernelTiers.Max);

    public override void Decode(ReadOnlySpan<byte> source, Span<float> destination)
    {
        DecodeKernel decoder = Decoder;
        int blocks = CountBlocks(source.Length, destination.Length);
        fixed (byte* src = source)
        fixed (float* dst = destination)
        {
            decoder.Run(src, dst, blocks);
        }
    }

    [SkipLocalsInit]
    private protected override void DecodeHalf(ReadOnlySpan<byte> source, Span<Half> destination)
    {
        DecodeKernel decoder = Decoder;
        int blocks = CountBlocks(source.Length, destination.Length);
        Span<float> buffer = stackalloc float[BufferedWeights];
        int run = BufferedWeights / WeightsPerBlock;
        fixed (byte* src = source)
        fixed (float* weights = buffer)
        {
            for (int b = 0; b < blocks; b += run)
            {
                run = Math.Min(run, blocks - b);
                decoder.Run(src + ((long)b * BytesPerBlock), weights, run);
                TensorPrimitives.ConvertToHalf(buffer[..(run * WeightsPerBlock)], destination[(b * WeightsPerBlock)..]);
            }
        }
    }

    [SkipLocalsInit]
    private protected override void DecodeBFloat16(ReadOnlySpan<byte> source, Span<BFloat16> destination)
    {
        DecodeKernel decoder = Decoder;
        int blocks = CountBlocks(source.Length, destination.Length);
        float* weights = stackalloc float[BufferedWeights];
        int run = BufferedWeights / WeightsPerBlock;
        fixed (byte* src = source)
        fixed (BFloat16* dst = destination)
        {
            for (int b = 0; b < blocks; b += run)
            {
                run = Math.Min(run, blocks - b);
                decoder.Run(src + ((long)b * BytesPerBlock), weights, run);
                RoundKernels.Default.Run(weights, (ushort*)dst + ((long)b * WeightsPerBlock), run * WeightsPerBlock);
            }
        }
    }

    public override bool TryEncode(
        ReadOnlySpan<float> source, Span<byte> destination, out long bytesWritten, in EncodeOptions options = default, CancellationToken cancellationToken = default)
    {
        bytesWritten = 0;
        int rowLength = options.GetRowLength(source.Length);
        CheckEncode(source.Length, rowLength, options);
        long needed = GetByteCount(source.Length);
        if (destination.Length < needed)
        {
            return false;
        }

        CheckImportance(options);
        cancellationToken.ThrowIfCancellationRequested();
        EncodeWith(Encoder, source, destination, options, cancellationToken);
        bytesWritten = needed;
        return true;
    }

    internal override void EncodeWith(
        EncodeKernel kernel, ReadOnlySpan<float> source, Span<byte> destination, in EncodeOptions options, CancellationToken cancellationToken)
    {
        int rowLength = options.GetRowLength(source.Length);
        fixed (float* src = source)
        fixed (byte* dst = destination)
        fixed (float* importance = options.Importance)
        {
            int rows = source.IsEmpty ? 0 : source.Length / rowLength;
            var encoder = new RowEncoder<TBlock>(kernel, src, (TBlock*)dst, importance, rowLength, options);
            uint rowsPerTurn = BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, WeightsPerTurn / Math.Max(1, rowLength)));
            ParallelRows.Run(encoder, rows, (int)rowsPerTurn, options.MaxDegreeOfParallelism, cancellationToken);
        }
    }

    internal override void Unpack(in PlanePointers source, int blocks, ref WeightUnit unit)
    {
        if (blocks * TBlock.WeightsPerBlock < 256)
        {
            unit = default;
        }

        for (int b = 0; b < blocks; b++)
        {
            TBlock.Unpack(((TBlock*)source.Codes)[b], b, ref unit);
        }
    }
}
