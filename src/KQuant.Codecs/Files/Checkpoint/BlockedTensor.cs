using System.Collections.Immutable;
using CommunityToolkit.HighPerformance.Buffers;

namespace KQuant.Codecs.Files;

/// <summary>
/// Rows of experts whose codes and scales lie in two stored tensors, as GGML's mxfp4: a block is the byte of its scale and 16 bytes with
/// codes i and i + 16, where the stored ones have codes 2i and 2i + 1.
/// </summary>
internal sealed class BlockedTensor : ModelTensor
{
    /// <summary>Weights that share a scale.</summary>
    public const int Weights = 32;

    /// <summary>Bytes of their codes.</summary>
    public const int CodeBytes = Weights / 2;

    private const int BlockBytes = CodeBytes + 1;

    private readonly SafetensorsTensor _codes;
    private readonly SafetensorsTensor _scales;
    private readonly long _first;
    private readonly long _step;
    private readonly int _groups;

    /// <param name="name">Its name in the model.</param>
    /// <param name="codes">[experts, out, groups, 16].</param>
    /// <param name="scales">[experts, out, groups].</param>
    /// <param name="first">The first row of an expert that belongs to it.</param>
    /// <param name="step">How many rows on the next one is.</param>
    public BlockedTensor(string name, SafetensorsTensor codes, SafetensorsTensor scales, long first, long step)
    {
        (Name, _codes, _scales, _first, _step) = (name, codes, scales, first, step);
        _groups = (int)codes.Shape[2];
        Shape = [codes.Shape[0], codes.Shape[1] / step, _groups * (long)Weights];
        ByteCount = Shape[0] * Shape[1] * RowBytes;
    }

    public override string Name { get; }

    public override ImmutableArray<long> Shape { get; }

    public override QuantCodec Codec { get; } = QuantCodec.Get(QuantFormat.MXFP4);

    public override string FormatName => Codec.Name;

    public override long ByteCount { get; }

    private long RowBytes => (long)_groups * BlockBytes;

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        using SpanOwner<byte> row = SpanOwner<byte>.Allocate(checked((int)RowBytes));
        while (!destination.IsEmpty)
        {
            int start = (int)(offset % RowBytes);
            ReadRow(offset / RowBytes, row.Span);
            Span<byte> part = row.Span[start..];
            int count = Math.Min(part.Length, destination.Length);
            part[..count].CopyTo(destination);
            destination = destination[count..];
            offset += count;
        }
    }

    public override void ReadRows(long firstRow, Span<float> destination)
    {
        int columns = GetQuantShape().Columns;
        long rows = TensorRows.CountRows(Name, firstRow, destination.Length, columns, Shape[0] * Shape[1]);
        using SpanOwner<byte> bytes = SpanOwner<byte>.Allocate(checked((int)RowBytes));
        for (long i = 0; i < rows; i++)
        {
            ReadRow(firstRow + i, bytes.Span);
            Codec.Decode(bytes.Span, destination.Slice((int)i * columns, columns));
        }
    }

    private void ReadRow(long row, Span<byte> blocks)
    {
        (long expert, long inside) = Math.DivRem(row, Shape[1]);
        long stored = (expert * _codes.Shape[1]) + _first + (inside * _step);
        using SpanOwner<byte> memory = SpanOwner<byte>.Allocate(_groups * BlockBytes);
        Span<byte> codes = memory.Span[..(_groups * CodeBytes)], scales = memory.Span[(_groups * CodeBytes)..];
        _codes.ReadBytes(stored * codes.Length, codes);
        _scales.ReadBytes(stored * scales.Length, scales);
        for (int group = 0; group < _groups; group++)
        {
            Span<byte> block = blocks.Slice(group * BlockBytes, BlockBytes);
            ReadOnlySpan<byte> from = codes.Slice(group * CodeBytes, CodeBytes);
            block[0] = scales[group];
            for (int i = 0; i < CodeBytes; i += 2)
            {
                byte low = from[i / 2], high = from[(CodeBytes / 2) + (i / 2)];
                block[1 + i] = (byte)((low & 15) | (high << 4));
                block[2 + i] = (byte)((low >> 4) | (high & 0xF0));
            }
        }
    }
}
