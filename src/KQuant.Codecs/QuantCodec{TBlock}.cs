using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Codecs.Blocks;
using KQuant.Codecs.Decoding;

namespace KQuant.Codecs;

/// <summary>Erases the block type for callers who only have a name or a GGML type id.</summary>
internal sealed unsafe class QuantCodec<TBlock> : QuantCodec
    where TBlock : unmanaged, IQuantBlock<TBlock>
{
    private readonly DecodeKernel _decoder = DecodeKernels.Best(TBlock.Format, KernelTiers.Max);

    public QuantCodec()
        : base(TBlock.Format, TBlock.WeightsPerBlock, Unsafe.SizeOf<TBlock>())
    {
    }

    public override KernelTier DecodeTier => _decoder.Tier;

    public override void Decode(ReadOnlySpan<byte> source, Span<float> destination)
    {
        int blocks = CountBlocks(source.Length, destination.Length);
        fixed (byte* src = source)
        fixed (float* dst = destination)
        {
            _decoder.Run(src, dst, blocks);
        }
    }

    public override void Decode(ReadOnlySpan<byte> source, Span<Half> destination) => throw new NotSupportedException();

    public override void Decode(ReadOnlySpan<byte> source, Span<BFloat16> destination) => throw new NotSupportedException();

    public override bool TryEncode(
        ReadOnlySpan<float> source, Span<byte> destination, out long bytesWritten, in EncodeOptions options = default)
    {
        bytesWritten = 0;
        long needed = GetByteCount(source.Length);
        if (destination.Length < needed)
        {
            return false;
        }

        int rowLength = options.RowLength == 0 ? source.Length : options.RowLength;
        int blocksPerRow = rowLength / WeightsPerBlock;
        Span<TBlock> blocks = MemoryMarshal.Cast<byte, TBlock>(destination);
        for (int row = 0; row * rowLength < source.Length; row++)
        {
            TBlock.Encode(source.Slice(row * rowLength, rowLength), blocks.Slice(row * blocksPerRow, blocksPerRow), options);
        }

        bytesWritten = needed;
        return true;
    }

    private int CountBlocks(int bytes, int weights)
    {
        if (bytes % BytesPerBlock != 0)
        {
            Throw.NotWholeBlocks(this, "the source", bytes, BytesPerBlock, "source");
        }

        int blocks = bytes / BytesPerBlock;
        if (weights != (long)blocks * WeightsPerBlock)
        {
            Throw.LengthMismatch(this, "the destination", weights, (long)blocks * WeightsPerBlock, "destination");
        }

        return blocks;
    }
}
