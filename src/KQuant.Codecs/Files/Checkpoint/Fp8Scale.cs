using CommunityToolkit.HighPerformance.Buffers;

namespace KQuant.Codecs.Files;

/// <summary>Decodes one weight of eight-bit floats with its factors.</summary>
internal sealed class Fp8Scale
{
    private static readonly float[] E4M3 = [.. Enumerable.Range(0, 256).Select(code => DecodeE4M3((byte)code))];
    private static readonly float[] E5M2 = [.. Enumerable.Range(0, 256).Select(code => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8)))];

    private readonly SafetensorsTensor _weight;
    private readonly int _rowsPerFactor;
    private readonly int _columnsPerFactor;
    private readonly int _factorsPerRow;
    private readonly Lazy<float[]> _factors;

    /// <param name="weight">The codes, [rows, columns].</param>
    /// <param name="scale">The factors.</param>
    /// <param name="blockRows">Rows that share a factor, if factors are for blocks.</param>
    /// <param name="blockColumns">Columns that do.</param>
    /// <exception cref="ModelFormatException">The factors are no floats, or their number fits neither blocks nor rows nor the whole.</exception>
    public Fp8Scale(SafetensorsTensor weight, SafetensorsTensor scale, int blockRows, int blockColumns)
    {
        _weight = weight;
        long rows = weight.Shape[0], columns = weight.Shape[1], count = TensorShapes.Product(scale.Shape.AsSpan());
        if (!scale.ElementType.TryGetCodec(out QuantCodec? codec) || columns > int.MaxValue || rows > int.MaxValue || count > Array.MaxLength)
        {
            throw new ModelFormatException(scale.FilePath, $"the factors of an fp8 weight are {scale.ElementType}, not floats", scale.Name);
        }

        long blocks = (columns + blockColumns - 1) / blockColumns;
        if (count == 1)
        {
            (_rowsPerFactor, _columnsPerFactor, _factorsPerRow) = (int.MaxValue, int.MaxValue, 1);
        }
        else if (scale.Shape.Length == 2 && scale.Shape[0] == (rows + blockRows - 1) / blockRows && scale.Shape[1] == blocks)
        {
            (_rowsPerFactor, _columnsPerFactor, _factorsPerRow) = (blockRows, blockColumns, (int)blocks);
        }
        else if (count == rows)
        {
            (_rowsPerFactor, _columnsPerFactor, _factorsPerRow) = (1, int.MaxValue, 1);
        }
        else
        {
            throw new ModelFormatException(
                scale.FilePath,
                $"the factors [{string.Join(", ", scale.Shape)}] fit neither blocks of {blockRows} x {blockColumns} of [{rows}, {columns}] "
                + "nor its rows nor the whole",
                scale.Name);
        }

        _factors = new Lazy<float[]>(() =>
        {
            var factors = new float[count];
            scale.Decode(0, codec, factors);
            return factors;
        });
    }

    /// <summary>Decodes whole rows.</summary>
    public void ReadRows(long firstRow, Span<float> destination)
    {
        int columns = (int)_weight.Shape[1];
        float[] table = _weight.ElementType == ElementType.F8_E4M3 ? E4M3 : E5M2, factors = _factors.Value;
        using SpanOwner<byte> codes = SpanOwner<byte>.Allocate(columns);
        for (; !destination.IsEmpty; firstRow++)
        {
            _weight.ReadBytes(firstRow * columns, codes.Span);
            ReadOnlySpan<float> ofRow = factors.AsSpan((int)(firstRow / _rowsPerFactor) * _factorsPerRow, _factorsPerRow);
            for (int column = 0; column < columns; column++)
            {
                destination[column] = table[codes.Span[column]] * ofRow[column / _columnsPerFactor];
            }

            destination = destination[columns..];
        }
    }

    /// <summary>One sign, four bits of exponent, three of mantissa; no infinities, and the largest codes are NaN.</summary>
    private static float DecodeE4M3(byte code)
    {
        int exponent = (code >> 3) & 15, mantissa = code & 7;
        float magnitude = (code & 127) == 127 ? float.NaN
            : exponent == 0 ? mantissa * 0.001953125f
            : (8 + mantissa) * MathF.ScaleB(1, exponent - 10);
        return (code & 128) != 0 ? -magnitude : magnitude;
    }
}
