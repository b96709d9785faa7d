using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using KQuant.Codecs;
using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Export;

/// <summary>
/// A checkpoint folder as the GGUF model that llama.cpp's converter would make of it: the same tensors under their GGUF names, with the
/// values that change on the way changed, and the metadata with dimensions and tokenizer. Nothing is read before rows are asked for.
/// </summary>
/// <remarks>
/// <para>
/// Written by <see cref="Codecs.Conversion.ModelConverter.Convert"/>. Architectures: <c>llama</c> (Llama, Mistral, Mixtral), <c>qwen2</c>, <c>qwen2moe</c>,
/// <c>qwen3</c>, <c>qwen3moe</c>, <c>gemma2</c>, <c>gemma3</c> (text), <c>phi3</c>, <c>gpt-oss</c>, <c>glm4</c>, <c>glm4moe</c>, <c>granite</c>,
/// <c>granitemoe</c>, <c>smollm3</c>. The checkpoint may hold floats, or K-quant blocks, which keep their
/// bytes: what moves are whole rows.
/// </para>
/// <para>
/// Norms, biases and routers are float32 in a GGUF; Gemma's norms have one added; the rows of q and k are permuted for <c>llama</c>.
/// </para>
/// </remarks>
public sealed class GgufExport : GgufSource
{
    private readonly List<ModelTensor> _tensors = [];
    private readonly Dictionary<string, ModelTensor> _byName = [];
    private readonly List<string> _notes = [];

    private GgufExport(ModelFolder folder, string architecture)
    {
        Folder = folder;
        Architecture = architecture;
    }

    /// <summary>The checkpoint.</summary>
    public ModelFolder Folder { get; }

    /// <inheritdoc/>
    public override string Path => Folder.Path;

    /// <summary>The GGUF architecture.</summary>
    public override string Architecture { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<ModelTensor> Tensors => _tensors;

    /// <summary>The metadata of the file, without <c>general.file_type</c>, which the conversion knows. It may be changed.</summary>
    public override GgufMetadata Metadata { get; } = new();

    /// <summary>What a GGUF has no place for, or llama.cpp does not do; one sentence each.</summary>
    public override IReadOnlyList<string> Notes => _notes;

    /// <summary>Makes the GGUF of a checkpoint.</summary>
    /// <param name="folder">The checkpoint. It is disposed with the result, and at once if there is none.</param>
    /// <param name="options">Name and tokenizer; null for the default.</param>
    /// <returns>The model to convert.</returns>
    /// <exception cref="NotSupportedException">
    /// The architecture, something it is configured to do, the tokenizer, or a tensor has no place in a GGUF that llama.cpp loads.
    /// </exception>
    /// <exception cref="ModelFormatException">
    /// A number of <c>config.json</c> is missing, a tensor is missing or has other dimensions than the configuration says, or a file of the
    /// tokenizer is broken.
    /// </exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <example>
    /// <code>
    /// using var export = GgufExport.Create(ModelFolder.Open("Qwen3-0.6B"));
    /// ModelConverter.Convert(QuantizationPlan.Uniform(export, QuantCodec.Get(QuantFormat.Q4_K)), "model.gguf");
    /// </code>
    /// </example>
    public static GgufExport Create(ModelFolder folder, GgufExportOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        try
        {
            return Make(folder, options ?? new GgufExportOptions());
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override bool TryGetTensor(string name, [NotNullWhen(true)] out ModelTensor? tensor) => _byName.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Folder.Dispose();
        }
    }

    private static GgufExport Make(ModelFolder folder, GgufExportOptions options)
    {
        if (!folder.IsDecodable)
        {
            throw new NotSupportedException($"{folder.Path} is quantized with mode '{folder.QuantizationMode}', which is not read here.");
        }

        ModelStructure.CheckComplete(folder);
        var reader = CheckpointConfigReader.Open(folder, FamilySupport.Export);
        ModelConfig config = reader.Read(ModelConventions.LlamaCpp);
        var export = new GgufExport(folder, config.Architecture);
        GgufChecks.Check(folder.Path, reader, config, export._notes);
        export.AddTensors(reader.Family, config);
        GgufParameters.Write(export, reader, config, options.Name);
        GgufChecks.CheckReadBack(export, reader.Family, config);
        if (options.IncludeTokenizer)
        {
            new TokenizerExport(folder, reader, config.VocabularySize, options.PreTokenizer).Write(export.Metadata);
        }

        return export;
    }

    private static float[] ReadAll(ModelTensor source)
    {
        var values = new float[source.GetWeightCount()];
        source.ReadRows(0, values);
        return values;
    }

    private static float[] AddOne(float[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            values[i] += 1;
        }

        return values;
    }

    private static float[] Permute(float[] values, int headDimension)
    {
        var permuted = new float[values.Length];
        for (int i = 0; i < permuted.Length; i++)
        {
            permuted[i] = values[RotaryRows.ToCheckpoint(i, headDimension)];
        }

        return permuted;
    }

    private void AddTensors(ModelFamily family, ModelConfig config)
    {
        TensorNames names = ModelTensorNames.For(Architecture);
        var layout = GgufLayout.Create(family, config);
        int predicting = 0;
        foreach (ModelTensor source in Folder.Tensors)
        {
            if (family.Experts == ExpertStyle.Glm4 && IsPrediction(source.Name, config.LayerCount))
            {
                predicting++;
                continue;
            }

            if (TryAddHalves(source, layout))
            {
                continue;
            }

            if (!names.TryToGguf(source.Name, out string? name) || layout.Find(name) is not long[] shape)
            {
                throw source.Name.EndsWith(".bias", StringComparison.Ordinal)
                    ? new NotSupportedException(
                        $"{Path}: tensor '{Printable.Shorten(source.Name)}' is a bias that config.json does not ask for, or that architecture "
                        + $"'{Architecture}' has no place for.")
                    : new NotSupportedException(
                        $"{Path}: tensor '{Printable.Shorten(source.Name)}' has no place in a GGUF of architecture '{Architecture}' with "
                    + $"{config.LayerCount} layers; llama.cpp would refuse the file.");
            }

            // A single row is a matrix in a checkpoint and a vector in a GGUF.
            bool isRow = shape.Length == 1 && source.Shape is [1, long columns] && columns == shape[0];
            if (!isRow && !source.Shape.AsSpan().SequenceEqual(shape))
            {
                throw new ModelFormatException(
                    Path, $"the dimensions are [{string.Join(", ", source.Shape)}], but config.json makes them [{string.Join(", ", shape)}]", source.Name);
            }

            if (source.Codec is null)
            {
                throw new NotSupportedException($"{Path}: tensor '{source.Name}' is {source.FormatName}, which is not decoded here.");
            }

            Add(Derive(family, config.HeadSize, name, [.. shape], source));
        }

        if (predicting > 0)
        {
            _notes.Add($"The {predicting} tensors of layers that predict further tokens are left out.");
        }

        if (layout.FindMissing(_byName.Keys.ToHashSet()) is string missing)
        {
            throw new ModelFormatException(
                Path, $"the checkpoint has no tensor for '{missing}', which architecture '{Architecture}' needs"
                + (names.TryToCheckpoint(missing, out string? wanted) ? $" ({wanted})" : ""));
        }

        AddRopeFactors(config.Rope);
    }

    /// <summary>What becomes of a tensor on its way into a GGUF.</summary>
    private static ModelTensor Derive(ModelFamily family, int headSize, string name, ImmutableArray<long> shape, ModelTensor source)
    {
        bool rotates = family.PermutesInGguf && (name.Contains(".attn_q.", StringComparison.Ordinal) || name.Contains(".attn_k.", StringComparison.Ordinal));
        if (shape.Length == 1)
        {
            return family.IsGemma && name.EndsWith("norm.weight", StringComparison.Ordinal)
                ? new ComputedTensor(name, shape, () => AddOne(ReadAll(source)))
                : rotates
                    ? new ComputedTensor(name, shape, () => Permute(ReadAll(source), headSize))
                    : new ComputedTensor(name, shape, () => ReadAll(source));
        }

        if (name.EndsWith(".ffn_gate_inp.weight", StringComparison.Ordinal) || name.EndsWith(".bias", StringComparison.Ordinal))
        {
            return new ComputedTensor(name, source.Shape, () => ReadAll(source));
        }

        return rotates ? new PermutedTensor(name, source, headSize) : new RenamedTensor(name, source);
    }

    /// <summary>Granite's shared expert has gate and up in one matrix, a GGUF has two.</summary>
    private bool TryAddHalves(ModelTensor source, GgufLayout layout)
    {
        const string Layers = "model.layers.", Fused = ".shared_mlp.input_linear.weight";
        if (source.Shape.Length != 2 || source.Name.Length < Layers.Length + Fused.Length
            || !source.Name.StartsWith(Layers, StringComparison.Ordinal) || !source.Name.EndsWith(Fused, StringComparison.Ordinal))
        {
            return false;
        }

        string layer = source.Name[Layers.Length..^Fused.Length];
        long half = source.Shape[0] / 2;
        foreach ((string part, long first) in ((string, long)[])[("gate", 0), ("up", half)])
        {
            string name = $"blk.{layer}.ffn_{part}_shexp.weight";
            if (layout.Find(name) is not [long rows, long columns] || 2 * rows != source.Shape[0] || columns != source.Shape[1])
            {
                throw new ModelFormatException(
                    Path, $"the dimensions are [{string.Join(", ", source.Shape)}], which config.json does not ask for", source.Name);
            }

            Add(new RowsTensor(name, source, first, half));
        }

        return true;
    }

    /// <summary>Whether a tensor is of a layer behind the last one.</summary>
    private static bool IsPrediction(string name, int layers) =>
        name.StartsWith("model.layers.", StringComparison.Ordinal) && name.Split('.') is [_, _, string number, ..]
        && int.TryParse(number, out int layer) && layer >= layers;

    private void AddRopeFactors(RopeConfig rope)
    {
        if (rope.Kind == RopeKind.Divisors)
        {
            Add("rope_freqs.weight", rope.ShortDivisors);
        }
        else if (rope.Kind == RopeKind.LongRope)
        {
            Add("rope_factors_long.weight", rope.LongDivisors);
            Add("rope_factors_short.weight", rope.ShortDivisors);
        }

        void Add(string name, ImmutableArray<float> values) => this.Add(new ComputedTensor(name, [values.Length], () => [.. values]));
    }

    private void Add(ModelTensor tensor)
    {
        if (!_byName.TryAdd(tensor.Name, tensor))
        {
            throw new ModelFormatException(Path, "two stored tensors have this name in a GGUF", tensor.Name);
        }

        _tensors.Add(tensor);
    }
}
