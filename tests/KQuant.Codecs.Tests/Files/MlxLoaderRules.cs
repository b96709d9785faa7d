using System.Buffers.Binary;
using System.Text.Json;

namespace KQuant.Codecs.Tests.Files;

/// <summary>
/// What mlx-lm's loader asks of a quantized checkpoint, restated from its rules and not from the product's reader: it reads the header of the
/// safetensors file by itself.
/// </summary>
internal static class MlxLoaderRules
{
    /// <summary>What is wrong with a folder of one shard.</summary>
    public static List<string> Check(string folder)
    {
        List<string> problems = [];
        using JsonDocument config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        JsonElement quantization = config.RootElement.GetProperty("quantization");
        if (quantization.GetRawText() != config.RootElement.GetProperty("quantization_config").GetRawText())
        {
            problems.Add("the two objects differ");
        }

        Dictionary<string, (string Type, long[] Shape)> tensors = ReadHeader(Path.Combine(folder, "model.safetensors"), problems);
        foreach (JsonProperty property in quantization.EnumerateObject())
        {
            bool isKnown = property.Name is "group_size" or "bits" or "mode";
            if (!isKnown && !(property.Value.ValueKind == JsonValueKind.Object && tensors.ContainsKey(property.Name + ".scales")))
            {
                problems.Add($"{property.Name} names no quantized module");
            }
        }

        foreach ((string name, (string type, long[] shape)) in tensors)
        {
            if (name.EndsWith(".scales", StringComparison.Ordinal))
            {
                CheckModule(name[..^".scales".Length], quantization, tensors, problems);
            }
            else if (type == "U32" && !tensors.ContainsKey(name[..name.LastIndexOf('.')] + ".scales"))
            {
                problems.Add($"{name} is packed and has no scales");
            }
            else if (shape.Length == 0)
            {
                problems.Add($"{name} is a scalar");
            }
        }

        return problems;
    }

    private static void CheckModule(
        string module, JsonElement quantization, Dictionary<string, (string Type, long[] Shape)> tensors, List<string> problems)
    {
        JsonElement own = quantization.TryGetProperty(module, out JsonElement value) ? value : quantization;
        string mode = own.TryGetProperty("mode", out JsonElement named) ? named.GetString()! : "affine";
        (int defaultGroup, int defaultBits) = mode switch { "affine" => (64, 4), "mxfp4" => (32, 4), "mxfp8" => (32, 8), _ => (16, 4) };
        int group = own.TryGetProperty("group_size", out JsonElement size) ? size.GetInt32() : defaultGroup;
        int bits = own.TryGetProperty("bits", out JsonElement width) ? width.GetInt32() : defaultBits;
        (string type, long[] shape) = tensors.GetValueOrDefault(module + ".weight", ("none", []));
        (string scaleType, long[] scaleShape) = tensors[module + ".scales"];
        bool hasBiases = tensors.TryGetValue(module + ".biases", out (string Type, long[] Shape) biases);
        bool isAffine = mode == "affine";
        bool fits = type == "U32" && shape.Length >= 2 && shape.SkipLast(1).SequenceEqual(scaleShape.SkipLast(1))
            && shape[^1] * 32 / bits == scaleShape[^1] * group && shape[^1] * 32 % bits == 0
            && hasBiases == isAffine
            && (isAffine
                ? scaleType is "F16" or "BF16" or "F32" && biases.Type == scaleType && biases.Shape.SequenceEqual(scaleShape)
                : scaleType == "U8");
        bool isMode = isAffine
            ? group is 32 or 64 or 128 && bits is 2 or 3 or 4 or 5 or 6 or 8
            : mode is "mxfp4" or "mxfp8" or "nvfp4" && (group, bits) == (defaultGroup, defaultBits);
        if (!fits || !isMode)
        {
            problems.Add($"{module}: {mode} {bits} bits, groups of {group}: {type} [{string.Join(", ", shape)}], scales {scaleType} [{string.Join(", ", scaleShape)}]");
        }
    }

    private static Dictionary<string, (string Type, long[] Shape)> ReadHeader(string path, List<string> problems)
    {
        byte[] file = File.ReadAllBytes(path);
        using JsonDocument header = JsonDocument.Parse(file.AsMemory(8, (int)BinaryPrimitives.ReadInt64LittleEndian(file)));
        Dictionary<string, (string Type, long[] Shape)> tensors = [];
        foreach (JsonProperty property in header.RootElement.EnumerateObject())
        {
            if (property.Name == "__metadata__")
            {
                if (property.Value.GetProperty("format").GetString() != "mlx")
                {
                    problems.Add("the format is not mlx");
                }

                continue;
            }

            tensors.Add(
                property.Name,
                (property.Value.GetProperty("dtype").GetString()!, [.. property.Value.GetProperty("shape").EnumerateArray().Select(dimension => dimension.GetInt64())]));
        }

        return tensors;
    }
}
