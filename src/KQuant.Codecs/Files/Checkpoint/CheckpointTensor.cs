using System.Collections.Immutable;
using System.Runtime.InteropServices;
using CommunityToolkit.HighPerformance.Buffers;

namespace KQuant.Codecs.Files;

/// <summary>
/// A tensor of a checkpoint under its mlx-lm name. It is a list of equally long parts of stored tensors: one for a plain tensor, one per
/// expert for a stack that the checkpoint keeps apart or fused. Stacking costs nothing until rows are read.
/// </summary>
internal sealed class CheckpointTensor : ModelTensor
{
    private const int GatheredBytes = 1 << 20;

    private readonly TensorPart[] _parts;
    private readonly long _bytesPerPart;
    private readonly long _rows;

    /// <param name="name">The name under which the tensor is listed.</param>
    /// <param name="shape">Logical dimensions of all parts together.</param>
    /// <param name="codec">The codec of the bytes, or null.</param>
    /// <param name="formatName">The stored format in words.</param>
    /// <param name="parts">The parts, in order.</param>
    /// <param name="bytesPerPart">Length of each.</param>
    public CheckpointTensor(
        string name, ImmutableArray<long> shape, QuantCodec? codec, string formatName, TensorPart[] parts, long bytesPerPart)
    {
        Name = name;
        Shape = shape;
        Codec = codec;
        FormatName = formatName;
        ByteCount = checked(bytesPerPart * parts.Length);
        _parts = parts;
        _bytesPerPart = bytesPerPart;
        _rows = TensorShapes.CountRows(shape.AsSpan());
    }

    public override string Name { get; }

    public override ImmutableArray<long> Shape { get; }

    public override QuantCodec? Codec { get; }

    public override string FormatName { get; }

    public override long ByteCount { get; }

    private string FilePath => _parts[0].Tensor.FilePath;

    /// <summary>A stored tensor as it is.</summary>
    public static CheckpointTensor Plain(string name, SafetensorsTensor stored, Fp8Scale? scale = null) =>
        Stack(name, stored.Shape, [new TensorPart(stored, 0, scale)], stored.ByteCount);

    /// <summary>Parts of floats or integers, all of the type of the first.</summary>
    public static CheckpointTensor Stack(string name, ImmutableArray<long> shape, TensorPart[] parts, long bytesPerPart)
    {
        if (parts[0].Scale is not null)
        {
            QuantCodec floats = QuantCodec.Get(QuantFormat.F32);
            return new CheckpointTensor(name, shape, floats, floats.Name, parts, checked(bytesPerPart * sizeof(float)));
        }

        ElementType type = parts[0].Tensor.ElementType;
        string format = type.TryGetCodec(out QuantCodec? codec) ? codec.Name : type.ToString().ToLowerInvariant();
        return new CheckpointTensor(name, shape, codec, format, parts, bytesPerPart);
    }

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        while (!destination.IsEmpty)
        {
            (long part, long inPart) = Math.DivRem(offset, _bytesPerPart);
            int count = (int)Math.Min(destination.Length, _bytesPerPart - inPart);
            if (_parts[part].Scale is Fp8Scale scale)
            {
                count = ReadDecoded(scale, inPart, destination[..count]);
            }
            else if (_parts[part].Strides is Strides strides)
            {
                count = ReadGathered(_parts[part], strides, inPart, destination[..count]);
            }
            else
            {
                _parts[part].Tensor.ReadBytes(_parts[part].Offset + inPart, destination[..count]);
            }

            destination = destination[count..];
            offset += count;
        }
    }

    public override void ReadRows(long firstRow, Span<float> destination)
    {
        QuantCodec codec = RequireCodec();
        int columns = GetQuantShape().Columns;
        long rows = TensorRows.CountRows(Name, firstRow, destination.Length, columns, _rows);
        long rowBytes = codec.GetByteCount(columns);
        long rowsPerPart = _rows / _parts.Length;
        while (rows > 0)
        {
            (long part, long inPart) = Math.DivRem(firstRow, rowsPerPart);
            int run = (int)Math.Min(rows, rowsPerPart - inPart);
            if (_parts[part].Scale is Fp8Scale scale)
            {
                scale.ReadRows(inPart, destination[..(run * columns)]);
            }
            else if (_parts[part].Strides is Strides strides)
            {
                run = Math.Min(run, RowsAtOnce(rowBytes));
                using SpanOwner<byte> gathered = SpanOwner<byte>.Allocate(checked((int)(run * rowBytes)));
                _parts[part].Gather(strides, inPart, columns, codec.BytesPerBlock, gathered.Span);
                codec.Decode(gathered.Span, destination[..(run * columns)]);
            }
            else
            {
                _parts[part].Tensor.Decode(_parts[part].Offset + (inPart * rowBytes), codec, destination[..(run * columns)]);
            }

            destination = destination[(run * columns)..];
            firstRow += run;
            rows -= run;
        }
    }

    public override QuantizedTensor Load()
    {
        QuantCodec codec = RequireCodec();
        return _parts is [{ Scale: null, Strides: null }]
            ? _parts[0].Tensor.AsWeights(codec, GetQuantShape(), _parts[0].Offset)
            : TensorCopy.Load(this);
    }

    /// <summary>Bytes of float32 rows that are stored otherwise, up to the end of a row.</summary>
    private int ReadDecoded(Fp8Scale scale, long offset, Span<byte> destination)
    {
        int columns = GetQuantShape().Columns;
        using SpanOwner<float> row = SpanOwner<float>.Allocate(columns);
        (long number, long inRow) = Math.DivRem(offset, (long)columns * sizeof(float));
        scale.ReadRows(number, row.Span);
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(row.Span)[(int)inRow..];
        int count = Math.Min(bytes.Length, destination.Length);
        bytes[..count].CopyTo(destination);
        return count;
    }

    /// <summary>Bytes of rows that lie apart, up to the end of one of them.</summary>
    private int ReadGathered(TensorPart part, Strides strides, long offset, Span<byte> destination)
    {
        QuantCodec codec = Codec!;
        int columns = GetQuantShape().Columns;
        long rowBytes = codec.GetByteCount(columns);
        (long row, long inRow) = Math.DivRem(offset, rowBytes);
        int rows = (int)Math.Min((inRow + destination.Length + rowBytes - 1) / rowBytes, RowsAtOnce(rowBytes));
        using SpanOwner<byte> gathered = SpanOwner<byte>.Allocate(checked((int)(rows * rowBytes)));
        part.Gather(strides, row, columns, codec.BytesPerBlock, gathered.Span);
        ReadOnlySpan<byte> bytes = gathered.Span[(int)inRow..];
        int count = Math.Min(bytes.Length, destination.Length);
        bytes[..count].CopyTo(destination);
        return count;
    }

    private static int RowsAtOnce(long rowBytes) => (int)Math.Max(1, GatheredBytes / rowBytes);

    private QuantCodec RequireCodec()
    {
        if (Codec is null)
        {
            Throw.NotWeights(FilePath, Name, FormatName);
        }

        return Codec;
    }
}
