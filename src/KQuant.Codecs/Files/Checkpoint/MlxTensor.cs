using System.Collections.Immutable;
using CommunityToolkit.HighPerformance.Buffers;

namespace KQuant.Codecs.Files;

/// <summary>A weight that MLX has quantized: codes, scales and perhaps biases in stored tensors of their own. Its bytes are theirs, one after the other.</summary>
internal sealed class MlxTensor : ModelTensor
{
    private readonly SafetensorsTensor[] _planes;
    private readonly long _rows;

    private MlxTensor(string name, ImmutableArray<long> shape, QuantCodec codec, SafetensorsTensor[] planes)
    {
        Name = name;
        Shape = shape;
        Codec = codec;
        ByteCount = planes.Sum(plane => plane.ByteCount);
        _planes = planes;
        _rows = TensorShapes.CountRows(shape.AsSpan());
    }

    public override string Name { get; }

    public override ImmutableArray<long> Shape { get; }

    public override QuantCodec Codec { get; }

    public override string FormatName => Codec.Name;

    public override long ByteCount { get; }

    /// <summary>Puts a weight together, checked in the order in which MLX checks.</summary>
    /// <param name="name">Its name in the model.</param>
    /// <param name="format">How it is quantized.</param>
    /// <param name="codes">The stored codes.</param>
    /// <param name="scales">The stored scales.</param>
    /// <param name="biases">The stored biases; null if there are none.</param>
    /// <exception cref="ModelFormatException">A type or a shape does not fit the format, or biases are missing or too many.</exception>
    public static MlxTensor Create(string name, MlxFormat format, SafetensorsTensor codes, SafetensorsTensor scales, SafetensorsTensor? biases)
    {
        ElementType scaleType = ElementType.U8;
        if (format.Mode == MlxMode.Affine)
        {
            if (biases is null)
            {
                throw Problem(codes, "affine weights have .scales and .biases, and here are no .biases");
            }

            if (!scales.ElementType.TryGetCodec(out _) || biases.ElementType != scales.ElementType)
            {
                throw Problem(scales, $"scales and biases of affine weights are both F16, BF16 or F32, not {scales.ElementType} and {biases.ElementType}");
            }

            scaleType = scales.ElementType;
        }
        else if (biases is not null)
        {
            throw Problem(biases, $"{format.ModeName} weights have no biases");
        }
        else if (scales.ElementType != ElementType.U8)
        {
            throw Problem(scales, $"scales of {format.ModeName} weights are U8, not {scales.ElementType}");
        }

        if (codes.ElementType != ElementType.U32 || codes.Shape.Length is not (2 or 3))
        {
            throw Problem(codes, $"codes are U32 [out, words] or [experts, out, words], not {codes.ElementType} {Text(codes)}");
        }

        if (biases is not null && !biases.Shape.AsSpan().SequenceEqual(scales.Shape.AsSpan()))
        {
            throw Problem(biases, $"the scales are {Text(scales)} and the biases {Text(biases)}; they must be alike");
        }

        if (scales.Shape.Length != codes.Shape.Length || !scales.Shape.AsSpan()[..^1].SequenceEqual(codes.Shape.AsSpan()[..^1]))
        {
            throw Problem(scales, $"the scales are {Text(scales)} and the codes {Text(codes)}; all dimensions but the last must be alike");
        }

        long words = codes.Shape[^1], groups = scales.Shape[^1];
        if (words > int.MaxValue || groups > int.MaxValue || words * 32 != groups * format.GroupSize * format.Bits
            || groups * format.GroupSize > int.MaxValue)
        {
            throw Problem(
                scales,
                $"rows of {words} words hold {words * (Int128)32 / format.Bits} codes of {format.Bits} bits, and {groups} groups of {format.GroupSize} are "
                + $"{groups * (Int128)format.GroupSize} weights");
        }

        ImmutableArray<long> shape = [.. codes.Shape[..^1], groups * format.GroupSize];
        return new MlxTensor(name, shape, format.GetCodec(scaleType), biases is null ? [codes, scales] : [codes, scales, biases]);
    }

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        foreach (SafetensorsTensor plane in _planes)
        {
            if (offset < plane.ByteCount)
            {
                int count = (int)Math.Min(destination.Length, plane.ByteCount - offset);
                plane.ReadBytes(offset, destination[..count]);
                destination = destination[count..];
                offset = 0;
            }
            else
            {
                offset -= plane.ByteCount;
            }
        }
    }

    public override void ReadRows(long firstRow, Span<float> destination)
    {
        int columns = GetQuantShape().Columns;
        long rows = TensorRows.CountRows(Name, firstRow, destination.Length, columns, _rows);
        using SpanOwner<byte> bytes = SpanOwner<byte>.Allocate(checked((int)(rows * Codec.GetByteCount(columns))));
        Span<byte> rest = bytes.Span;
        for (int plane = 0; plane < _planes.Length; plane++)
        {
            long rowBytes = (long)columns / Codec.WeightsPerBlock * Codec.PlaneBytes(plane);
            int count = (int)(rows * rowBytes);
            _planes[plane].ReadBytes(firstRow * rowBytes, rest[..count]);
            rest = rest[count..];
        }

        Codec.Decode(bytes.Span, destination);
    }

    public override QuantizedTensor Load() => QuantizedTensor.FromPlanes(Codec, GetQuantShape(), [.. _planes.Select(plane => plane.AsPlane())]);

    /// <summary>Writes the stored bytes of a plane.</summary>
    public void CopyPlaneTo(Stream stream, int plane)
    {
        SafetensorsTensor stored = _planes[plane];
        using SpanOwner<byte> buffer = SpanOwner<byte>.Allocate((int)Math.Min(1 << 20, Math.Max(1, stored.ByteCount)));
        for (long offset = 0; offset < stored.ByteCount; offset += buffer.Length)
        {
            Span<byte> part = buffer.Span[..(int)Math.Min(buffer.Length, stored.ByteCount - offset)];
            stored.ReadBytes(offset, part);
            stream.Write(part);
        }
    }

    private static ModelFormatException Problem(SafetensorsTensor tensor, string problem) => new(tensor.FilePath, problem, tensor.Name, tensor.Offset);

    private static string Text(SafetensorsTensor tensor) => $"[{string.Join(", ", tensor.Shape)}]";
}
