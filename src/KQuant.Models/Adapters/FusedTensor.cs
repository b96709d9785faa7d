using System.Collections.Immutable;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Products;

namespace KQuant.Models.Adapters;

/// <summary>A tensor of a model with low-rank terms added to its rows, in float32.</summary>
/// <param name="original">The tensor without them.</param>
internal sealed class FusedTensor(ModelTensor original) : ModelTensor
{
    private readonly List<(long FirstRow, LowRankTerm Term)> _terms = [];
    private readonly int _columns = original.GetQuantShape().Columns;
    private readonly long _rows = TensorShapes.CountRows(original.Shape.AsSpan());

    /// <summary>The tensor without the terms.</summary>
    public ModelTensor Original => original;

    public override string Name => original.Name;

    public override ImmutableArray<long> Shape => original.Shape;

    public override QuantCodec? Codec => QuantCodec.Get(QuantFormat.F32);

    public override string FormatName => Codec!.Name;

    public override long ByteCount => checked(GetWeightCount() * sizeof(float));

    /// <summary>Adds a term to some rows.</summary>
    /// <param name="firstRow">The first of them.</param>
    /// <param name="term">The term.</param>
    public void Add(long firstRow, LowRankTerm term) => _terms.Add((firstRow, term));

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, ByteCount - destination.Length);

        var row = new float[_columns];
        int rowBytes = _columns * sizeof(float);
        while (!destination.IsEmpty)
        {
            (long number, long inRow) = Math.DivRem(offset, rowBytes);
            int count = (int)Math.Min(destination.Length, rowBytes - inRow);
            ReadRows(number, row);
            MemoryMarshal.AsBytes(row.AsSpan()).Slice((int)inRow, count).CopyTo(destination);
            destination = destination[count..];
            offset += count;
        }
    }

    public override void ReadRows(long firstRow, Span<float> destination)
    {
        long count = TensorRows.CountRows(Name, firstRow, destination.Length, _columns, _rows);
        original.ReadRows(firstRow, destination);
        for (int i = 0; i < count; i++)
        {
            foreach ((long first, LowRankTerm term) in _terms)
            {
                long row = firstRow + i - first;
                if (row >= 0 && row < term.B.Tensor.Shape.TotalRows)
                {
                    term.AddTo(row, destination.Slice(i * _columns, _columns));
                }
            }
        }
    }
}
