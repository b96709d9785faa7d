using System.Text.Json.Nodes;

namespace KQuant.Codecs.Files;

/// <summary>
/// Writes a checkpoint folder in the layout of MLX: <c>config.json</c>, weights in shards with an index, and the auxiliary files of a
/// source. A quantized module is stored as wire bytes, <c>PATH.weight</c> U8 [out, row bytes] or [experts, out, row bytes], beside a
/// placeholder <c>PATH.scales</c> U8 [1], and named with its codec in the config's <c>quantization</c> and <c>quantization_config</c>.
/// Without quantized modules it is a plain float checkpoint.
/// </summary>
/// <remarks>The folder appears when it is complete; until then nothing but a temporary folder beside it exists.</remarks>
public sealed class CheckpointWriter
{
    private const string WeightSuffix = ".weight";

    private readonly JsonObject _sourceConfig;
    private readonly SafetensorsWriter _weights;
    private readonly List<(string Module, QuantCodec Codec)> _modules = [];
    private long _parameters;

    /// <summary>Creates a writer.</summary>
    /// <param name="sourceConfig">The config of the model; all its keys are kept, except what says how the source was quantized.</param>
    /// <param name="maxShardBytes">Bytes after which a new shard begins.</param>
    public CheckpointWriter(JsonObject sourceConfig, long maxShardBytes = SafetensorsWriter.DefaultMaxShardBytes)
    {
        ArgumentNullException.ThrowIfNull(sourceConfig);
        _sourceConfig = sourceConfig;
        _weights = new SafetensorsWriter { MaxShardBytes = maxShardBytes };
    }

    /// <summary>Bytes of all tensors declared so far.</summary>
    public long TotalBytes => _weights.TotalBytes;

    /// <summary>Declares a weight in any codec: a block codec makes it a quantized module, f32, f16 and bf16 a plain tensor.</summary>
    /// <param name="name">Its name; that of a quantized weight ends in <c>.weight</c>.</param>
    /// <param name="codec">The codec.</param>
    /// <param name="shape">Logical dimensions, outermost first; those of a quantized weight are [out, in] or [experts, out, in].</param>
    /// <param name="write">Writes the encoded rows, one after the other, when it is the tensor's turn.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the shape does not fit the codec.</exception>
    public void Add(string name, QuantCodec codec, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(codec);
        if (!codec.IsQuantized)
        {
            Add(name, codec.GetElementType(), shape, write);
            return;
        }

        if (!name.EndsWith(WeightSuffix, StringComparison.Ordinal) || shape.Length is not (2 or 3))
        {
            throw new ArgumentException(
                $"A quantized weight is a .weight of two or three dimensions; '{name}' is [{string.Join(", ", shape.ToArray())}].",
                nameof(name));
        }

        if (codec.Planes.Length > 1)
        {
            throw new ArgumentException($"The bytes of {codec.Name} lie in {codec.Planes.Length} planes; {nameof(AddPlanes)} takes them.", nameof(codec));
        }

        string module = name[..^WeightSuffix.Length];
        long[] stored = [.. shape[..^1], codec.GetByteCount(shape[^1])];
        _weights.Add(name, ElementType.U8, stored, write);
        _weights.Add(module + ".scales", ElementType.U8, [1], new byte[1]);
        _modules.Add((module, codec));
        _parameters += TensorShapes.Product(shape);
    }

    /// <summary>Declares a weight in one of MLX's own modes: <c>PATH.weight</c> U32, <c>PATH.scales</c> and, of affine weights, <c>PATH.biases</c>.</summary>
    /// <param name="name">Its name, which ends in <c>.weight</c>.</param>
    /// <param name="codec">The codec, one with <see cref="QuantCodec.Mlx"/>.</param>
    /// <param name="shape">Logical dimensions: [out, in] or [experts, out, in].</param>
    /// <param name="write">Writes the rows of a plane, whose number it is given, when it is the plane's turn.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the shape does not fit the codec.</exception>
    public void AddPlanes(string name, QuantCodec codec, ReadOnlySpan<long> shape, Action<Stream, int> write)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(codec);
        ArgumentNullException.ThrowIfNull(write);
        if (codec.Mlx is null || !name.EndsWith(WeightSuffix, StringComparison.Ordinal) || shape.Length is not (2 or 3))
        {
            throw new ArgumentException(
                $"MLX quantizes a .weight of two or three dimensions with codecs of its own; '{name}' is {codec.Name} [{string.Join(", ", shape.ToArray())}].",
                nameof(name));
        }

        string module = name[..^WeightSuffix.Length];
        long blocks = codec.GetByteCount(shape[^1]) / codec.BytesPerBlock;
        for (int i = 0; i < codec.Planes.Length; i++)
        {
            int plane = i;
            ElementType type = plane == 0 ? ElementType.U32 : codec is Planes.AffineCodec affine ? affine.ScaleType : ElementType.U8;
            long[] stored = [.. shape[..^1], blocks * codec.PlaneBytes(plane) * 8 / type.GetBits()];
            _weights.Add($"{module}.{codec.Planes[plane].Name}", type, stored, stream => write(stream, plane));
        }

        _modules.Add((module, codec));
        _parameters += TensorShapes.Product(shape);
    }

    /// <summary>Declares a tensor that is stored as numbers.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="type">The element type.</param>
    /// <param name="shape">Dimensions, outermost first.</param>
    /// <param name="write">Writes the bytes, little-endian, when it is the tensor's turn.</param>
    /// <exception cref="ArgumentException">The name is taken or impossible, or the shape has no size in bytes.</exception>
    public void Add(string name, ElementType type, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        _weights.Add(name, type, shape, write);
        _parameters += TensorShapes.Product(shape);
    }

    /// <summary>Declares a tensor that keeps the bytes it has in another model.</summary>
    /// <param name="tensor">The tensor; it must stay readable until the checkpoint is written.</param>
    /// <exception cref="NotSupportedException">It is stored in a format that a checkpoint cannot hold.</exception>
    /// <exception cref="ArgumentException">The name is taken or impossible.</exception>
    public void Add(ModelTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor is MlxTensor mlx)
        {
            AddPlanes(tensor.Name, mlx.Codec, tensor.Shape.AsSpan(), mlx.CopyPlaneTo);
        }
        else if (tensor.Codec is QuantCodec codec)
        {
            Add(tensor.Name, codec, tensor.Shape.AsSpan(), tensor.CopyTo);
        }
        else if (ElementTypes.TryParse(tensor.FormatName, out ElementType type))
        {
            Add(tensor.Name, type, tensor.Shape.AsSpan(), tensor.CopyTo);
        }
        else
        {
            throw new NotSupportedException($"Tensor '{tensor.Name}' is stored as {tensor.FormatName}, which a checkpoint cannot hold.");
        }
    }

    /// <summary>Writes the folder.</summary>
    /// <param name="folder">The folder; it is created when missing.</param>
    /// <param name="auxiliary">Files of the source to copy, see <see cref="AuxiliaryFiles.Find"/>; null for none.</param>
    /// <param name="overwrite">Whether the folder may have content; it is replaced as a whole, and what is no part of a model moves over.</param>
    /// <param name="progress">Told several times per megabyte, on the calling thread.</param>
    /// <param name="cancellationToken">Cancels between two writes of a callback; nothing is left behind.</param>
    /// <exception cref="InvalidOperationException">A callback wrote another number of bytes than its tensor has.</exception>
    /// <exception cref="IOException">The folder has content and may not, or a file cannot be read or written.</exception>
    /// <exception cref="OperationCanceledException">The write was cancelled.</exception>
    public void Write(
        string folder,
        AuxiliaryFiles? auxiliary = null,
        bool overwrite = false,
        IProgress<ModelProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using var output = new OutputFolder(folder, overwrite);
        _weights.TotalParameters = _parameters;
        _weights.WriteTo(output, progress, cancellationToken);
        output.Write(ConfigFile.Name, stream => ConfigFile.Write(stream, KQuantConfig.With(_sourceConfig, _modules)));
        foreach (AuxiliaryFile file in auxiliary?.Files ?? [])
        {
            cancellationToken.ThrowIfCancellationRequested();
            FileKinds.CheckReadable(file.FullPath);
            using FileStream source = File.OpenRead(file.FullPath);
            output.Write(file.RelativePath, source.CopyTo);
        }

        output.Commit();
    }
}
