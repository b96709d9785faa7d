using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>A tensor of a checkpoint under its GGUF name, otherwise as it is.</summary>
internal sealed class RenamedTensor(string name, ModelTensor source) : ModelTensor
{
    public override string Name => name;

    public override ImmutableArray<long> Shape => source.Shape;

    public override QuantCodec? Codec => source.Codec;

    public override string FormatName => source.FormatName;

    public override long ByteCount => source.ByteCount;

    public override void ReadBytes(long offset, Span<byte> destination) => source.ReadBytes(offset, destination);

    public override void ReadRows(long firstRow, Span<float> destination) => source.ReadRows(firstRow, destination);

    public override QuantizedTensor Load() => source.Load();
}
