using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KQuant.Cli.Rendering;
using KQuant.Cli.Reports;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;

namespace KQuant.Cli.Commands;

/// <summary>Puts together what <c>kquant inspect</c> shows.</summary>
internal static partial class ModelInspection
{
    private const string WeightSuffix = ".weight";

    /// <summary>Arrays up to this length are shown completely; vocabularies are not.</summary>
    private const int ShownElements = 32;

    [GeneratedRegex(@"(?:^blk|\.layers)\.(\d{1,6})\.")]
    private static partial Regex Layer { get; }

    /// <summary>The report on a model.</summary>
    public static InspectReport Inspect(ModelSource source)
    {
        IReadOnlyList<ModelTensor> tensors = source.Tensors;
        ModelTensor[] quantized = [.. tensors.Where(IsQuantized)];
        long bytes = tensors.Sum(tensor => tensor.ByteCount), weights = tensors.Sum(tensor => tensor.GetWeightCount());
        (ArchitectureReport? architecture, string? problem) = ArchitectureInspection.Inspect(source);
        return new InspectReport(
            source.Path,
            source switch { ModelFolder => "checkpoint", GgufModel => "gguf", NpyModel => "npy", _ => "safetensors" },
            source.Architecture,
            tensors.Select(tensor => Layer.Match(tensor.Name)).Where(match => match.Success).Select(match => match.Groups[1].Value).Distinct().Count(),
            (source as ModelFolder)?.QuantizationMode,
            Files(source).Sum(file => new FileInfo(file).Length),
            bytes,
            weights,
            weights == 0 ? 0 : 8.0 * bytes / weights,
            tensors.Count,
            quantized.Length,
            quantized.GroupBy(tensor => tensor.FormatName).OrderByDescending(group => group.Count())
                .ToDictionary(group => group.Key, group => group.Count()),
            [
                .. tensors.GroupBy(tensor => tensor.FormatName)
                    .Select(group => Summarize(group.Key, [.. group]))
                    .OrderByDescending(format => format.Bytes),
            ],
            Metadata(source),
            [.. tensors.Select(tensor => Describe(tensor, source))])
        {
            Architecture = architecture,
            ArchitectureProblem = problem,
        };
    }

    /// <summary>Keys and values in words, on one line each.</summary>
    public static IEnumerable<(string Key, string Value)> DescribeMetadata(ModelSource source) => source is GgufModel gguf
        ? gguf.File.Metadata.Select(pair => (pair.Key, Shorten($"{pair.Value.TypeName} {pair.Value}")))
        : Metadata(source).Select(pair => (pair.Key, Shorten(pair.Value?.ToJsonString() ?? "null")));

    private static bool IsQuantized(ModelTensor tensor) => tensor.Codec is { IsQuantized: true } || ModelFormats.IsUndecodable(tensor);

    private static IEnumerable<string> Files(ModelSource source) => source switch
    {
        ModelFolder folder => folder.Weights.Files,
        SafetensorsModel model => model.File.Files,
        GgufModel gguf => gguf.File.Files,
        _ => [source.Path],
    };

    private static FormatReport Summarize(string format, ModelTensor[] tensors)
    {
        long bytes = tensors.Sum(tensor => tensor.ByteCount), weights = tensors.Sum(tensor => tensor.GetWeightCount());
        return new FormatReport(format, tensors.Length, weights, bytes, bytes, weights == 0 ? 0 : 8.0 * bytes / weights, null);
    }

    private static InspectedTensor Describe(ModelTensor tensor, ModelSource source)
    {
        TensorRole role = TensorRoles.Classify(tensor.Name);
        (int WeightsPerBlock, int BytesPerBlock)? block = FindBlock(tensor, source);
        return new InspectedTensor(
            tensor.Name.EndsWith(WeightSuffix, StringComparison.Ordinal) ? tensor.Name[..^WeightSuffix.Length] : tensor.Name,
            tensor.Name,
            Kind(tensor, role),
            role.ToString(),
            tensor.FormatName,
            tensor.Codec is QuantCodec codec ? CodeBits(codec) : null,
            block?.WeightsPerBlock,
            block is null ? null : 8.0 * block.Value.BytesPerBlock / block.Value.WeightsPerBlock,
            block is null ? null : tensor.ByteCount,
            tensor.Shape,
            block is null || tensor.Shape.IsEmpty
                ? null
                : [.. tensor.Shape[..^1], tensor.Shape[^1] / block.Value.WeightsPerBlock * block.Value.BytesPerBlock]);
    }

    private static (int WeightsPerBlock, int BytesPerBlock)? FindBlock(ModelTensor tensor, ModelSource source)
    {
        if (tensor.Codec is QuantCodec codec)
        {
            return (codec.WeightsPerBlock, codec.BytesPerBlock);
        }

        if (source is GgufModel gguf && gguf.File.TryGet(tensor.Name, out GgufTensor? stored))
        {
            return stored.Type is GgmlType type ? (type.WeightsPerBlock, type.BytesPerBlock) : null;
        }

        return ElementTypes.TryParse(tensor.FormatName, out ElementType element) && element.GetBits() % 8 == 0
            ? (1, element.GetBits() / 8)
            : null;
    }

    /// <summary>ggml's names begin with the bits of a code.</summary>
    private static int CodeBits(QuantCodec codec) => codec.IsQuantized ? codec.Name[1] - '0' : 8 * codec.BytesPerBlock;

    private static string Kind(ModelTensor tensor, TensorRole role) => (tensor.Shape.Length, role) switch
    {
        (_, TensorRole.Norm) => "other",
        (2, TensorRole.Embedding or TensorRole.PerLayerEmbedding or TensorRole.PositionEmbedding) => "embedding",
        (2, _) => "linear",
        (3, _) => "moe",
        _ => "other",
    };

    private static JsonObject Metadata(ModelSource source)
    {
        var result = new JsonObject();
        switch (source)
        {
            case GgufModel gguf:
                foreach ((string key, GgufValue value) in gguf.File.Metadata)
                {
                    result.Add(key, ToJson(value));
                }

                break;
            case ModelFolder folder:
                foreach ((string key, JsonNode? value) in folder.Config)
                {
                    // What is quantized how is in the list of tensors.
                    if (key is not ("quantization" or "quantization_config") || !folder.IsDecodable)
                    {
                        result.Add(key, value?.DeepClone());
                    }
                }

                break;
            case SafetensorsModel model:
                foreach ((string key, string value) in model.File.Metadata)
                {
                    result.Add(key, value);
                }

                break;
        }

        return result;
    }

    private static JsonNode? ToJson(GgufValue value) => value.Type switch
    {
        GgufValueType.Array when value.Count > ShownElements => new JsonObject { ["type"] = value.TypeName, ["count"] = value.Count },
        GgufValueType.Array => new JsonArray([.. value.GetElements().Select(ToJson)]),
        GgufValueType.Bool => value.TryGet(out bool flag) ? JsonValue.Create(flag) : null,
        _ when value.TryGetInteger(out long integer) => JsonValue.Create(integer),
        _ when value.TryGetNumber(out double number) && double.IsFinite(number) => JsonValue.Create(number),
        _ => JsonValue.Create(value.ToString()),
    };

    /// <summary>The beginning of a text, on one line.</summary>
    private static string Shorten(string text)
    {
        const int MaxLength = 100;
        string line = PlainText.OneLine(text);
        return line.Length <= MaxLength ? line : line[..(MaxLength - 3)] + "...";
    }
}
