using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Transformers;

namespace KQuant.Models.Conversion;

/// <summary>
/// A checkpoint folder as the GGUF file that llama.cpp expects of it: its names, rows of q and k in the order of Llama's rotation, norms and
/// vectors in float32, the tokenizer as metadata. Nothing is copied before it is read; whole rows move, so weights that are quantized
/// already keep their bytes.
/// </summary>
public sealed class GgufView : IGgufSource
{
    private readonly ModelFolder _folder;
    private readonly List<IModelTensorSource> _tensors = [];
    private readonly Dictionary<string, IModelTensorSource> _byName = [];

    /// <summary>Shows a folder.</summary>
    /// <param name="folder">The folder; disposed with this object.</param>
    /// <exception cref="ModelFormatException">
    /// The architecture is not supported, or GGUF or llama.cpp cannot express something about the model; the message names it.
    /// </exception>
    public GgufView(ModelFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        _folder = folder;
        Config = ModelConfig.Read(folder, ModelConventions.HuggingFace);
        GgufRestrictions.Check(folder.Path, Config);
        TensorNames names = TensorNames.For(Config.Architecture);
        foreach (IModelTensorSource tensor in folder.Tensors)
        {
            if (!names.TryToGguf(tensor.Name, out string? name))
            {
                throw new ModelFormatException(folder.Path, $"a GGUF file of architecture {Config.Architecture} has no such tensor", tensor.Name);
            }

            Add(Show(tensor, name));
        }

        AddFrequencies();
    }

    /// <summary>What the model computes.</summary>
    public ModelConfig Config { get; }

    /// <inheritdoc/>
    public string Path => _folder.Path;

    /// <inheritdoc/>
    public string? Architecture => Config.Architecture;

    /// <inheritdoc/>
    public IReadOnlyList<IModelTensorSource> Tensors => _tensors;

    /// <inheritdoc/>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out IModelTensorSource? tensor) => _byName.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    public GgufMetadata CreateMetadata()
    {
        var metadata = new GgufMetadata();
        GgufHyperparameters.Write(metadata, Config);
        GgufVocabulary.Write(metadata, _folder.Path, Config);
        return metadata;
    }

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();

    private void Add(IModelTensorSource tensor)
    {
        _byName.Add(tensor.Name, tensor);
        _tensors.Add(tensor);
    }

    private IModelTensorSource Show(IModelTensorSource tensor, string name)
    {
        bool isVector = tensor.Shape.Length == 1 || name.EndsWith("ffn_gate_inp_shexp.weight", StringComparison.Ordinal);
        if (isVector || name.EndsWith("ffn_gate_inp.weight", StringComparison.Ordinal))
        {
            ImmutableArray<long> shape = isVector ? [tensor.GetWeightCount()] : tensor.Shape;
            bool addsOne = Config.NormsAddOne && tensor.Name.EndsWith("norm.weight", StringComparison.Ordinal);
            int head = IsRotated(name) ? Config.HeadSize : 0;
            return new FloatTensor(name, shape, () => ReadFloats(tensor, addsOne, head));
        }

        return IsRotated(name) ? new PermutedTensor(name, tensor, Config.HeadSize) : new RenamedTensor(name, tensor);
    }

    /// <summary>Llama's q and k, whose rows GGUF orders for rotating neighbours.</summary>
    private bool IsRotated(string name) => Config.Architecture == "llama"
        && (name.Contains(".attn_q.", StringComparison.Ordinal) || name.Contains(".attn_k.", StringComparison.Ordinal));

    private void AddFrequencies()
    {
        RopeConfig rope = Config.Rope;
        switch (rope.Kind)
        {
            case RopeKind.Llama3:
                float[] plain = RotaryEmbedding.GetFrequencies(rope with { Kind = RopeKind.Default }, 0, 0);
                float[] scaled = RotaryEmbedding.GetFrequencies(rope, 0, 0);
                float[] divisors = [.. plain.Zip(scaled, (before, after) => before / after)];
                Add(new FloatTensor("rope_freqs.weight", [divisors.Length], () => divisors));
                break;
            case RopeKind.LongRope:
                Add(new FloatTensor("rope_factors_long.weight", [rope.LongDivisors.Length], () => [.. rope.LongDivisors]));
                Add(new FloatTensor("rope_factors_short.weight", [rope.ShortDivisors.Length], () => [.. rope.ShortDivisors]));
                break;
        }
    }

    private static float[] ReadFloats(IModelTensorSource tensor, bool addsOne, int headSize)
    {
        var values = new float[tensor.GetWeightCount()];
        tensor.ReadRows(0, values);
        for (int i = 0; addsOne && i < values.Length; i++)
        {
            values[i] += 1;
        }

        return headSize == 0 ? values : [.. Enumerable.Range(0, values.Length).Select(row => values[PermutedTensor.SourceRow(row, headSize)])];
    }

    /// <summary>A tensor under another name.</summary>
    private class RenamedTensor(string name, IModelTensorSource source) : IModelTensorSource
    {
        public string Name => name;

        public ImmutableArray<long> Shape => source.Shape;

        public QuantCodec? Codec => source.Codec;

        public string FormatName => source.FormatName;

        public long ByteCount => source.ByteCount;

        protected IModelTensorSource Source => source;

        public virtual void ReadBytes(long offset, Span<byte> destination) => source.ReadBytes(offset, destination);

        public virtual void ReadRows(long firstRow, Span<float> destination) => source.ReadRows(firstRow, destination);

        public virtual QuantizedTensor Load() => source.Load();
    }

    /// <summary>
    /// A matrix whose rows come in another order within every head: row 2 j + b of a head is row j + b * half of the source.
    /// </summary>
    private sealed class PermutedTensor(string name, IModelTensorSource source, int headSize) : RenamedTensor(name, source)
    {
        private readonly int _columns = source.GetQuantShape().Columns;
        private readonly long _rowBytes = source.ByteCount / source.Shape[0];

        public static long SourceRow(long row, int headSize)
        {
            (long head, long inHead) = Math.DivRem(row, headSize);
            return (head * headSize) + (inHead / 2) + (inHead % 2 * (headSize / 2));
        }

        public override void ReadBytes(long offset, Span<byte> destination)
        {
            while (!destination.IsEmpty)
            {
                (long row, long inRow) = Math.DivRem(offset, _rowBytes);
                int count = (int)Math.Min(destination.Length, _rowBytes - inRow);
                Source.ReadBytes((SourceRow(row, headSize) * _rowBytes) + inRow, destination[..count]);
                destination = destination[count..];
                offset += count;
            }
        }

        public override void ReadRows(long firstRow, Span<float> destination)
        {
            for (int i = 0; i < destination.Length / _columns; i++)
            {
                Source.ReadRows(SourceRow(firstRow + i, headSize), destination.Slice(i * _columns, _columns));
            }
        }

        public override QuantizedTensor Load()
        {
            var bytes = new byte[ByteCount];
            ReadBytes(0, bytes);
            return QuantizedTensor.FromMemory(Codec!, this.GetQuantShape(), bytes);
        }
    }

    /// <summary>Small values in float32, computed when they are wanted.</summary>
    private sealed class FloatTensor(string name, ImmutableArray<long> shape, Func<float[]> read) : IModelTensorSource
    {
        private readonly Lazy<float[]> _values = new(read);

        public string Name => name;

        public ImmutableArray<long> Shape => shape;

        public QuantCodec Codec { get; } = QuantCodec.Get(QuantFormat.F32);

        public string FormatName => Codec.Name;

        public long ByteCount => this.GetWeightCount() * sizeof(float);

        public void ReadBytes(long offset, Span<byte> destination) =>
            MemoryMarshal.AsBytes(_values.Value.AsSpan()).Slice((int)offset, destination.Length).CopyTo(destination);

        public void ReadRows(long firstRow, Span<float> destination) =>
            _values.Value.AsSpan((int)firstRow * (int)shape[^1], destination.Length).CopyTo(destination);

        public QuantizedTensor Load() => QuantizedTensor.FromMemory(
            Codec, this.GetQuantShape(), MemoryMarshal.AsBytes(_values.Value.AsSpan()).ToArray());
    }
}
