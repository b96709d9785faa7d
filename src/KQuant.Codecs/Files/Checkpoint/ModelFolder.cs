using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;

namespace KQuant.Codecs.Files;

/// <summary>
/// A checkpoint folder opened for reading: a Hugging Face model of floats, an MLX model whose weights are GGUF blocks (<c>"mode": "kquant"</c>), or one
/// that MLX has quantized itself (affine, mxfp4, mxfp8, nvfp4). All show the same tensors under the names that mlx-lm uses, whatever files and pieces they are stored in.
/// </summary>
/// <remarks>
/// Experts that a checkpoint stores one by one or fused appear stacked under <c>switch_mlp</c>; tensors that a loader computes itself or
/// that belong to a vision tower are in <see cref="Dropped"/>. The weights are memory-mapped and nothing is copied before rows are read.
/// </remarks>
public sealed class ModelFolder : ModelSource
{
    private readonly SafetensorsFile _weights;
    private readonly List<ModelTensor> _tensors = [];
    private readonly Dictionary<string, ModelTensor> _byName = [];
    private readonly List<DroppedTensor> _dropped = [];
    private bool _isMlx;

    private ModelFolder(string path, JsonObject config, SafetensorsFile weights)
    {
        Path = path;
        Config = config;
        _weights = weights;
        QuantizationMode = KQuantConfig.GetMode(config);
        ModelType = new CheckpointConfig(config).ModelType;
    }

    /// <summary>The folder as given to <see cref="Open"/>.</summary>
    public override string Path { get; }

    /// <summary>The parsed <c>config.json</c>. Treat it as read-only.</summary>
    public JsonObject Config { get; }

    /// <summary>The config's <c>model_type</c>, or null.</summary>
    public string? ModelType { get; }

    /// <summary>The <see cref="ModelType"/>.</summary>
    public override string? Architecture => ModelType;

    /// <summary>
    /// How the checkpoint is quantized: <c>kquant</c>, another scheme's <c>mode</c> or <c>quant_method</c>, <c>affine</c> for one without a
    /// name; null when it is a float checkpoint, which one of eight-bit floats with their factors and gpt-oss with its mxfp4 experts are, too. A scheme that no config names is
    /// recognized by its tensors. Tensors of schemes that are not decoded here (<see cref="IsDecodable"/>) are listed as they are stored.
    /// </summary>
    public string? QuantizationMode { get; private set; }

    /// <summary>Whether the weights are decoded here: floats, GGUF blocks, or a mode of MLX's that the config describes.</summary>
    public bool IsDecodable => QuantizationMode is null or KQuantConfig.Mode || _isMlx;

    /// <summary>All tensors under their mlx-lm names, in an order that reads the files from front to back.</summary>
    public override IReadOnlyList<ModelTensor> Tensors => _tensors;

    /// <summary>Stored tensors that are not part of the model.</summary>
    public IReadOnlyList<DroppedTensor> Dropped => _dropped;

    /// <summary>The stored tensors as they are.</summary>
    public SafetensorsFile Weights => _weights;

    /// <summary>Opens a folder.</summary>
    /// <param name="path">A folder with <c>config.json</c> and weights; see <see cref="SafetensorsFile.Open"/> for their names.</param>
    /// <returns>The model; dispose it to release the mappings.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="ModelFormatException">
    /// <c>config.json</c> or weights are missing or broken, experts are incomplete, or a quantized module does not fit its codec.
    /// </exception>
    /// <exception cref="IOException">A file cannot be opened.</exception>
    public static new ModelFolder Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!Directory.Exists(path))
        {
            throw new DirectoryNotFoundException($"{path} is no folder.");
        }

        JsonObject config = ConfigFile.Read(System.IO.Path.Combine(path, ConfigFile.Name));
        var folder = new ModelFolder(path, config, SafetensorsFile.Open(path));
        try
        {
            if (folder.QuantizationMode == KQuantConfig.Mode)
            {
                folder.ListQuantized();
            }
            else if (folder.TryReadMlx(out MlxConfig? mlx))
            {
                folder.ListMlx(mlx);
            }
            else
            {
                folder.ListSanitized();
            }

            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor) => _byName.TryGetValue(name, out tensor);

    /// <summary>A tensor as one block of wire bytes; see <see cref="ModelTensor.Load"/>.</summary>
    /// <param name="name">Name of a tensor, or of a module, which stands for its <c>.weight</c>.</param>
    /// <returns>The weights, not valid beyond the life of this object.</returns>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    /// <exception cref="NotSupportedException">It is stored in a format without a codec.</exception>
    public QuantizedTensor GetTensor(string name)
    {
        if (!TryGetTensor(name, out ModelTensor? tensor) && !TryGetTensor(name + ".weight", out tensor))
        {
            Throw.NoSuchTensor(Path, name);
        }

        return tensor.Load();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _weights.Dispose();
        }
    }

    private bool TryReadMlx([NotNullWhen(true)] out MlxConfig? mlx)
    {
        _isMlx = MlxConfig.TryRead(System.IO.Path.Combine(Path, ConfigFile.Name), Config, out mlx)
            && ForeignScheme.Find(_weights, new Fp8Scales(_weights, new CheckpointConfig(Config))) is null or "affine";
        return _isMlx && mlx is not null;
    }

    private void ListMlx(MlxConfig mlx)
    {
        var names = new MlxNames(new CheckpointConfig(Config), Path, [.. _weights.Tensors.Select(tensor => tensor.Name)]);
        foreach (SafetensorsTensor stored in _weights.Tensors)
        {
            if (!names.TryMap(stored.Name, out string? name, out string? reason))
            {
                _dropped.Add(new DroppedTensor { Name = stored.Name, Reason = reason });
                continue;
            }

            (string module, string leaf) = SplitName(name);
            string storedModule = SplitName(stored.Name).Module;
            MlxFormat? format = leaf is "weight" or "scales" or "biases" ? FormatOf(mlx, module, storedModule) : null;
            if (format is null)
            {
                AddTensor(CheckpointTensor.Plain(name, stored));
            }
            else if (leaf == "weight")
            {
                _weights.TryGet(storedModule + ".biases", out SafetensorsTensor? biases);
                AddTensor(_weights.TryGet(storedModule + ".scales", out SafetensorsTensor? scales)
                    ? MlxTensor.Create(name, format, stored, scales, biases)
                    : throw new ModelFormatException(stored.FilePath, "config.json says how the module is quantized, but its .scales are missing", stored.Name));
            }
            else if (!_weights.TryGet(storedModule + ".weight", out _))
            {
                throw new ModelFormatException(stored.FilePath, $"the module has .{leaf}, but its .weight is missing", stored.Name);
            }
        }
    }

    /// <summary>How a module is quantized, as MLX decides: by what the config says of it, else by whether it has scales.</summary>
    private MlxFormat? FormatOf(MlxConfig mlx, string module, string storedModule)
    {
        if (mlx.TryGet(module, out MlxFormat? format) || mlx.TryGet(storedModule, out format))
        {
            return format;
        }

        return _weights.TryGet(storedModule + ".scales", out _) ? format : null;
    }

    private void ListSanitized()
    {
        var config = new CheckpointConfig(Config);
        var scales = new Fp8Scales(_weights, config);
        var blocked = BlockedExperts.Find(config, _weights);
        CheckScheme(scales, blocked is not null);
        var names = new MlxNames(config, Path, [.. _weights.Tensors.Select(tensor => tensor.Name)]);
        var experts = new ExpertStacks(config, scales);
        var listed = new List<Func<ModelTensor>>();
        foreach (SafetensorsTensor stored in _weights.Tensors)
        {
            if (scales.IsPart(stored.Name) || blocked?.IsPart(stored.Name) == true)
            {
                continue;
            }

            if (!names.TryMap(stored.Name, out string? name, out string? reason))
            {
                _dropped.Add(new DroppedTensor { Name = stored.Name, Reason = reason });
            }
            else if (blocked?.Split(name, stored) is { } rows)
            {
                listed.AddRange(rows.Select(part => (Func<ModelTensor>)(() => part)));
            }
            else if (experts.TryTake(name, stored, out ExpertStacks.Stack? started))
            {
                if (started is not null)
                {
                    listed.Add(started.Build);
                }
            }
            else if (experts.TrySplit(name, stored, out CheckpointTensor[]? halves))
            {
                listed.AddRange(halves.Select(half => (Func<ModelTensor>)(() => half)));
            }
            else
            {
                listed.Add(() => CheckpointTensor.Plain(name, stored, scales.TryGet(stored, out Fp8Scale? scale) ? scale : null));
            }
        }

        // A stack is complete only now.
        foreach (Func<ModelTensor> build in listed)
        {
            AddTensor(build());
        }
    }

    /// <summary>
    /// Finds out what the tensors are, when the config does not say so, or says that they are eight-bit floats or experts in blocks, which
    /// are understood.
    /// </summary>
    private void CheckScheme(Fp8Scales scales, bool hasBlocks)
    {
        if (QuantizationMode is null or "fp8" || (hasBlocks && QuantizationMode == BlockedExperts.Scheme))
        {
            QuantizationMode = ForeignScheme.Find(_weights, scales, hasBlocks);
        }
    }

    private void ListQuantized()
    {
        Dictionary<string, string> modules = KQuantConfig.ReadModules(System.IO.Path.Combine(Path, ConfigFile.Name), Config);
        foreach (string module in modules.Keys)
        {
            if (!_weights.TryGet(module + ".weight", out _))
            {
                throw new ModelFormatException(Path, $"the quantized module '{Printable.Shorten(module)}' has no weight");
            }
        }

        foreach (SafetensorsTensor stored in _weights.Tensors)
        {
            (string module, string leaf) = SplitName(stored.Name);
            if (!modules.TryGetValue(module, out string? codec))
            {
                Add(CheckpointTensor.Plain(stored.Name, stored));
            }
            else if (leaf == "weight")
            {
                Add(Quantized(stored, codec));
            }
            else if (leaf != "scales")
            {
                Add(CheckpointTensor.Plain(stored.Name, stored));
            }
        }
    }

    private static CheckpointTensor Quantized(SafetensorsTensor stored, string codecName)
    {
        if (stored.ElementType != ElementType.U8 || stored.Shape.Length is not (2 or 3))
        {
            throw new ModelFormatException(
                stored.FilePath,
                $"a {Printable.Shorten(codecName)} weight is stored as U8 [out, bytes] or [experts, out, bytes], "
                + $"not as {stored.ElementType} [{string.Join(", ", stored.Shape)}]",
                stored.Name,
                stored.Offset);
        }

        if (!QuantCodec.TryParse(codecName, out QuantCodec? codec) || !codec.IsQuantized)
        {
            // Listed under its foreign name with the dimensions of its bytes; an error only when someone wants to decode it.
            return new CheckpointTensor(stored.Name, stored.Shape, null, codecName, [new TensorPart(stored, 0)], stored.ByteCount);
        }

        long rowBytes = stored.Shape[^1];
        if (rowBytes % codec.BytesPerBlock != 0 || rowBytes / codec.BytesPerBlock > int.MaxValue / codec.WeightsPerBlock)
        {
            throw new ModelFormatException(
                stored.FilePath,
                $"rows of {rowBytes} bytes are no whole {codec.Name} blocks of {codec.BytesPerBlock} bytes",
                stored.Name,
                stored.Offset);
        }

        long columns = rowBytes / codec.BytesPerBlock * codec.WeightsPerBlock;
        ImmutableArray<long> shape = [.. stored.Shape[..^1], columns];
        return new CheckpointTensor(stored.Name, shape, codec, codec.Name, [new TensorPart(stored, 0)], stored.ByteCount);
    }

    private static (string Module, string Leaf) SplitName(string name)
    {
        int dot = name.LastIndexOf('.');
        return dot < 0 ? (name, "") : (name[..dot], name[(dot + 1)..]);
    }

    private void Add(CheckpointTensor tensor) => AddTensor(tensor);

    private void AddTensor(ModelTensor tensor)
    {
        if (!_byName.TryAdd(tensor.Name, tensor))
        {
            throw new ModelFormatException(Path, "two stored tensors have this name in the model", tensor.Name);
        }

        _tensors.Add(tensor);
    }
}
