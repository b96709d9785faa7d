using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Conversion;

/// <summary>What a loader relies on and the readers of this package do not.</summary>
internal static partial class ModelStructure
{
    private const string WeightSuffix = ".weight";

    /// <summary>Looks at names, shapes and configuration; reads no weights.</summary>
    /// <param name="model">A model of any kind.</param>
    /// <returns>What is wrong, one sentence each.</returns>
    public static IEnumerable<string> FindProblems(ModelSource model) => model switch
    {
        ModelFolder folder => FindProblems(folder),
        GgufModel gguf => FindProblems(gguf),
        _ => [],
    };

    /// <summary>Refuses a checkpoint that lacks what its config promises, before it becomes another model that lacks it.</summary>
    /// <exception cref="ModelFormatException">The output head is missing.</exception>
    public static void CheckComplete(ModelFolder folder)
    {
        if (FindMissingHead(folder) is string problem)
        {
            throw new ModelFormatException(folder.Path, problem);
        }
    }

    [GeneratedRegex(@"(^blk|\.layers)\.(?<number>\d{1,6})\.")]
    private static partial Regex Layer { get; }

    private static IEnumerable<string> FindProblems(ModelFolder folder)
    {
        var config = new CheckpointConfig(folder.Config);
        return
        [
            .. folder.QuantizationMode == KQuantConfig.Mode ? FindQuantizationProblems(folder) : [],
            .. folder.QuantizationMode is string mode && KQuantConfig.GetMode(folder.Config) is null
                ? [$"The tensors are those of a checkpoint quantized with '{mode}', but config.json does not say so."]
                : Array.Empty<string>(),
            .. FindMissingHead(folder) is string missing ? [missing + "."] : Array.Empty<string>(),
            .. FindMissingLayers(folder, config.GetInteger("num_hidden_layers"), "num_hidden_layers"),
            .. folder.Tensors.Where(tensor => tensor.Name.EndsWith("model.embed_tokens.weight", StringComparison.Ordinal))
                .SelectMany(tensor => FindShapeProblems(
                    tensor, config.GetInteger("vocab_size"), "vocab_size", config.GetInteger("hidden_size"), "hidden_size")),
        ];
    }

    /// <summary>Only what is said is believed: without the key, families differ.</summary>
    private static string? FindMissingHead(ModelFolder folder)
    {
        var config = new CheckpointConfig(folder.Config);
        bool isCausal = config.GetArray("architectures")?.Any(name => name.AsString()?.EndsWith("ForCausalLM", StringComparison.Ordinal) == true) == true;
        return isCausal && config.GetBoolean("tie_word_embeddings") == false
            && folder.Tensors.Any(tensor => tensor.Name.EndsWith("model.embed_tokens.weight", StringComparison.Ordinal))
            && !folder.Tensors.Any(tensor => tensor.Name is "lm_head.weight" or "language_model.lm_head.weight")
            ? "tie_word_embeddings is false in config.json, but lm_head.weight is missing"
            : null;
    }

    private static IEnumerable<string> FindQuantizationProblems(ModelFolder folder)
    {
        JsonNode? first = folder.Config["quantization"], second = folder.Config["quantization_config"];
        if (first is not null && second is not null && !JsonNode.DeepEquals(first, second))
        {
            yield return "quantization and quantization_config differ in config.json.";
        }

        foreach (ModelTensor tensor in folder.Tensors)
        {
            if (!tensor.Name.EndsWith(WeightSuffix, StringComparison.Ordinal) || tensor.Shape.Length < 2)
            {
                continue;
            }

            string module = tensor.Name[..^WeightSuffix.Length];
            if (tensor.Codec is null && tensor.FormatName == "u8")
            {
                yield return $"{tensor.Name} is stored as bytes, but config.json names no codec for it.";
            }
            else if (tensor.Codec is null && !ElementTypes.TryParse(tensor.FormatName, out _))
            {
                yield return $"{tensor.Name} is {tensor.FormatName}, which is no codec here.";
            }
            else if (tensor.Codec is { IsQuantized: true }
                && !(folder.Weights.TryGet(module + ".scales", out SafetensorsTensor? scales)
                    && scales.ElementType == ElementType.U8 && scales.Shape.AsSpan().SequenceEqual([1L])))
            {
                yield return $"{module} has no scales of one byte beside its weight; MLX refuses to load it.";
            }
        }
    }

    private static IEnumerable<string> FindProblems(GgufModel gguf)
    {
        if (gguf.Architecture is not string architecture)
        {
            return ["general.architecture is missing."];
        }

        gguf.TryGetTensor("token_embd.weight", out ModelTensor? embedding);
        return
        [
            .. gguf.File.Tensors.Where(tensor => tensor.Type is null).Select(tensor =>
                $"{tensor.Name} has GGML type {tensor.TypeId}, which is not known."),
            .. FindMissingLayers(gguf, Integer(gguf, architecture + ".block_count"), architecture + ".block_count"),
            .. embedding is null ? [] : FindShapeProblems(
                embedding, null, "", Integer(gguf, architecture + ".embedding_length"), architecture + ".embedding_length"),
        ];
    }

    private static long? Integer(GgufModel gguf, string key) =>
        gguf.File.Metadata.TryGetValue(key, out GgufValue? value) && value.TryGetInteger(out long number) ? number : null;

    private static IEnumerable<string> FindMissingLayers(ModelSource model, long? count, string key)
    {
        var present = new HashSet<long>();
        foreach (ModelTensor tensor in model.Tensors)
        {
            if (Layer.Match(tensor.Name) is { Success: true } match)
            {
                present.Add(long.Parse(match.Groups["number"].ValueSpan, CultureInfo.InvariantCulture));
            }
        }

        if (count is null || present.Count == 0)
        {
            yield break;
        }

        // A hostile count must not cost anything: more layers than tensors cannot be there.
        for (long layer = 0; layer < Math.Min(count.Value, present.Count + 1L); layer++)
        {
            if (!present.Contains(layer))
            {
                yield return $"Layer {layer} has no tensors, but {key} is {count}.";
                yield break;
            }
        }
    }

    private static IEnumerable<string> FindShapeProblems(
        ModelTensor tensor, long? rows, string rowsKey, long? columns, string columnsKey)
    {
        if (tensor.Shape.Length != 2)
        {
            yield return $"{tensor.Name} has {tensor.Shape.Length} dimensions instead of 2.";
            yield break;
        }

        if (rows is not null && rows != tensor.Shape[0])
        {
            yield return $"{tensor.Name} has {tensor.Shape[0]} rows, but {rowsKey} is {rows}.";
        }

        if (columns is not null && columns != tensor.Shape[1])
        {
            yield return $"{tensor.Name} has {tensor.Shape[1]} columns, but {columnsKey} is {columns}.";
        }
    }
}
