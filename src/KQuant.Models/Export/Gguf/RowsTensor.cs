using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>Some rows of a matrix as a tensor of its own.</summary>
/// <param name="name">The GGUF name.</param>
/// <param name="source">The matrix.</param>
/// <param name="firstRow">The first row.</param>
/// <param name="rows">Rows.</param>
internal sealed class RowsTensor(string name, ModelTensor source, long firstRow, long rows) : ModelTensor
{
    private readonly long _bytesPerRow = source.ByteCount / source.Shape[0];

    public override string Name => name;

    public override ImmutableArray<long> Shape { get; } = [rows, source.Shape[1]];

    public override QuantCodec? Codec => source.Codec;

    public override string FormatName => source.FormatName;

    public override long ByteCount => _bytesPerRow * rows;

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Codecs.Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        source.ReadBytes((firstRow * _bytesPerRow) + offset, destination);
    }

    public override void ReadRows(long row, Span<float> destination)
    {
        TensorRows.CountRows(Name, row, destination.Length, GetQuantShape().Columns, rows);
        source.ReadRows(firstRow + row, destination);
    }
}
