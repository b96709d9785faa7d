using System.Collections.Immutable;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>
/// A small tensor of float32 values that are computed when they are asked for and not kept: norms, biases and routers, which are float32 in
/// every GGUF, and what a checkpoint has in its configuration.
/// </summary>
/// <param name="name">The GGUF name.</param>
/// <param name="shape">Dimensions, outermost first.</param>
/// <param name="compute">Gives all values.</param>
internal sealed class ComputedTensor(string name, ImmutableArray<long> shape, Func<float[]> compute) : ModelTensor
{
    public override string Name => name;

    public override ImmutableArray<long> Shape => shape;

    public override QuantCodec Codec { get; } = QuantCodec.Get(QuantFormat.F32);

    public override string FormatName => Codec.Name;

    public override long ByteCount { get; } = sizeof(float) * TensorShapes.Product(shape.AsSpan());

    public override void ReadBytes(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > ByteCount - destination.Length)
        {
            Codecs.Throw.RangeOutsideTensor(Name, offset, destination.Length, ByteCount);
        }

        MemoryMarshal.AsBytes<float>(compute()).Slice((int)offset, destination.Length).CopyTo(destination);
    }

    public override void ReadRows(long firstRow, Span<float> destination)
    {
        int columns = GetQuantShape().Columns;
        long rows = TensorShapes.CountRows(Shape.AsSpan());
        TensorRows.CountRows(Name, firstRow, destination.Length, columns, rows);
        compute().AsSpan((int)(firstRow * columns), destination.Length).CopyTo(destination);
    }
}
