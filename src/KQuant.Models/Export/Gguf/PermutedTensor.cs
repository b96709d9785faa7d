using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Export;

/// <summary>The matrix of q or k of a checkpoint with its rows in the order of GGUF files of architecture <c>llama</c>.</summary>
internal sealed class PermutedTensor(string name, ModelTensor source, int headDimension) : ModelTensor
{
    public override string Name => name;

    public override ImmutableArray<long> Shape => source.Shape;

    public override QuantCodec? Codec => source.Codec;

    public override string FormatName => source.FormatName;

    public override long ByteCount => source.ByteCount;

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Codecs.Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        long rowBytes = ByteCount / Shape[0];
        while (!destination.IsEmpty)
        {
            (long row, long inRow) = Math.DivRem(offset, rowBytes);
            int count = (int)Math.Min(destination.Length, rowBytes - inRow);
            source.ReadBytes((RotaryRows.ToCheckpoint(row, headDimension) * rowBytes) + inRow, destination[..count]);
            destination = destination[count..];
            offset += count;
        }
    }

    public override void ReadRows(long firstRow, Span<float> destination)
    {
        int columns = GetQuantShape().Columns;
        long rows = TensorRows.CountRows(Name, firstRow, destination.Length, columns, TensorShapes.CountRows(Shape.AsSpan()));
        for (int i = 0; i < rows; i++)
        {
            source.ReadRows(RotaryRows.ToCheckpoint(firstRow + i, headDimension), destination.Slice(i * columns, columns));
        }
    }
}
