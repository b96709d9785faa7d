using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Weights;

/// <summary>
/// The tensors of a model under the names of Hugging Face checkpoints, experts stacked as mlx-lm stacks them, whatever file they are in.
/// Matrices are views of the file; vectors, which are small, are read.
/// </summary>
internal sealed unsafe class ModelWeights : IDisposable
{
    private const string Suffix = ".weight";

    private readonly ModelSource _source;
    private readonly TensorNames? _names;
    private readonly List<QuantizedTensor> _loaded = [];
    private readonly Dictionary<string, QuantizedTensor> _byName = [];

    public ModelWeights(ModelSource source)
    {
        _source = source;
        _names = source is GgufSource ? ModelTensorNames.For(source.Architecture ?? "") : null;
    }

    /// <summary>Bytes of the tensors that were asked for.</summary>
    public long ByteCount { get; private set; }

    /// <summary>Weights of the tensors that were asked for.</summary>
    public long WeightCount { get; private set; }

    /// <summary>Bytes by codec.</summary>
    public Dictionary<QuantCodec, long> Codecs { get; } = [];

    /// <summary>Tells the model from others.</summary>
    public byte[] GetFingerprint(ModelConfig config) => ModelFingerprint.Compute(_source, config);

    /// <summary>Whether there is a tensor.</summary>
    public bool Contains(string name) => Find(name) is not null;

    /// <summary>A matrix, not copied.</summary>
    /// <exception cref="ModelFormatException">It is missing, or has another shape, or a format that cannot be multiplied.</exception>
    public QuantizedTensor Matrix(string name, long rows, int columns)
    {
        QuantizedTensor tensor = Load(name);
        if (tensor.Shape != QuantShape.Stack(1, rows, columns))
        {
            throw WrongShape(name, tensor.Shape, $"[{rows}, {columns}]");
        }

        return tensor;
    }

    /// <summary>Some rows of a matrix, not copied.</summary>
    public QuantizedTensor Rows(string name, long firstRow, long rows, long allRows, int columns)
    {
        QuantizedTensor whole = Matrix(name, allRows, columns);
        QuantizedTensor part = whole.SliceRows(firstRow, rows);
        _loaded.Add(part);
        return part;
    }

    /// <summary>A stack of matrices, not copied where the file has it in one piece.</summary>
    public QuantizedTensor Stack(string name, int count, long rows, int columns)
    {
        QuantizedTensor tensor = Load(name);
        if (tensor.Shape != QuantShape.Stack(count, rows, columns))
        {
            throw WrongShape(name, tensor.Shape, $"[{count}, {rows}, {columns}]");
        }

        return tensor;
    }

    /// <summary>A vector as a matrix of one row in float32.</summary>
    public QuantizedTensor Row(string name, int length)
    {
        byte[] bytes = MemoryMarshal.AsBytes(Vector(name, length).AsSpan()).ToArray();
        var row = QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), new QuantShape(1, length), bytes);
        _loaded.Add(row);
        return row;
    }

    /// <summary>A vector in float32.</summary>
    public float[] Vector(string name, int length)
    {
        ModelTensor tensor = Find(name) ?? throw Missing(name);
        if (tensor.GetWeightCount() != length)
        {
            throw new ModelFormatException(
                _source.Path, $"the shape is [{string.Join(", ", tensor.Shape)}] and should be [{length}]", tensor.Name);
        }

        RequireCodec(tensor);
        var values = new float[length];
        tensor.ReadRows(0, values);
        Count(tensor);
        foreach (float value in values)
        {
            if (!float.IsFinite(value))
            {
                throw new ModelFormatException(_source.Path, $"a value is {value}", tensor.Name);
            }
        }

        return values;
    }

    public void Dispose()
    {
        DisposeViews();
        _source.Dispose();
    }

    /// <summary>Gives up what was loaded; the source stays open, for whoever opened it.</summary>
    public void DisposeViews() => _loaded.ForEach(tensor => tensor.Dispose());

    private QuantizedTensor Load(string name)
    {
        if (_byName.TryGetValue(name, out QuantizedTensor? known))
        {
            return known;
        }

        ModelTensor source = Find(name) ?? throw Missing(name);
        RequireCodec(source);
        if (source.Shape is [.., > int.MaxValue])
        {
            throw new ModelFormatException(_source.Path, $"a row of {source.Shape[^1]} weights is longer than {int.MaxValue}", source.Name);
        }

        QuantizedTensor tensor = source.Load();
        _loaded.Add(tensor);
        _byName.Add(name, tensor);
        Count(source);
        return tensor;
    }

    private void Count(ModelTensor tensor)
    {
        ByteCount += tensor.ByteCount;
        WeightCount += tensor.GetWeightCount();
        Codecs[tensor.Codec!] = Codecs.GetValueOrDefault(tensor.Codec!) + tensor.ByteCount;
    }

    /// <summary>The tensor of the source that has a name; null if there is none.</summary>
    public ModelTensor? Find(string name)
    {
        ModelTensor? tensor;
        if (_names is null)
        {
            // Multimodal checkpoints keep the language model under a prefix.
            return _source.TryGetTensor(name, out tensor) || _source.TryGetTensor("language_model." + name, out tensor) ? tensor : null;
        }

        return Translate(name) is { } stored && _source.TryGetTensor(stored, out tensor) ? tensor : null;
    }

    private string? Translate(string name)
    {
        const string fused = ".self_attn.qkv_proj";
        int at = name.IndexOf(fused, StringComparison.Ordinal);
        if (at >= 0)
        {
            // llama.cpp reads the fused projection in every architecture, so files may have it.
            string layer = name["model.layers.".Length..at];
            return $"blk.{layer}.attn_qkv{name[(at + fused.Length)..]}";
        }

        return _names!.TryToGguf(name, out string? stored) ? stored : null;
    }

    private void RequireCodec(ModelTensor tensor)
    {
        if (tensor.Codec is null)
        {
            throw new ModelFormatException(
                _source.Path,
                $"format {tensor.FormatName} cannot be computed with; known are "
                + string.Join(", ", QuantCodec.All.Select(codec => codec.Name)),
                tensor.Name);
        }
    }

    private ModelFormatException Missing(string name)
    {
        string stored = _names is not null && Translate(name) is { } translated ? translated : name;
        return new ModelFormatException(_source.Path, "the tensor is missing", stored);
    }

    private ModelFormatException WrongShape(string name, QuantShape shape, string expected)
    {
        string actual = shape.Experts == 1 ? $"[{shape.Rows}, {shape.Columns}]" : $"[{shape.Experts}, {shape.Rows}, {shape.Columns}]";
        return new ModelFormatException(
            _source.Path, $"the shape is {actual} and should be {expected}", Find(name)?.Name ?? name + Suffix);
    }
}
