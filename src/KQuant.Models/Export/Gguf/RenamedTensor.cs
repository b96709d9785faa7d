using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>A tensor of a checkpoint under its GGUF name, otherwise as it is.</summary>
internal sealed class RenamedTensor(string name, IModelTensorSource source) : IModelTensorSource
{
    public string Name => name;

    public ImmutableArray<long> Shape => source.Shape;

    public QuantCodec? Codec => source.Codec;

    public string FormatName => source.FormatName;

    public long ByteCount => source.ByteCount;

    public void ReadBytes(long offset, Span<byte> destination) => source.ReadBytes(offset, destination);

    public void ReadRows(long firstRow, Span<float> destination) => source.ReadRows(firstRow, destination);

    public QuantizedTensor Load() => source.Load();

    public override string ToString() => $"{Name} {FormatName} [{string.Join(", ", Shape)}]";
}
