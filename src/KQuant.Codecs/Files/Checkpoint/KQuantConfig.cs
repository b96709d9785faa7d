using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Codecs.Files;

/// <summary>
/// The <c>quantization</c> object of a config: <c>{"mode": "kquant", "per_tensor": {"model.layers.0.self_attn.q_proj": "q4_k", ...}}</c>,
/// keyed by module path, and written a second time as <c>quantization_config</c>.
/// </summary>
internal static class KQuantConfig
{
    /// <summary>The mode of checkpoints whose weights are GGUF blocks.</summary>
    public const string Mode = "kquant";

    private const string Key = "quantization";
    private const string SecondKey = "quantization_config";

    /// <summary>
    /// How the checkpoint is quantized: <c>kquant</c>; the <c>mode</c> or <c>quant_method</c> of another scheme; <c>affine</c> for MLX's
    /// own, which names none; null for a float checkpoint.
    /// </summary>
    public static string? GetMode(JsonObject config)
    {
        string? mode = null;
        foreach (JsonObject block in Blocks(config))
        {
            mode = GetString(block, "mode") ?? GetString(block, "quant_method") ?? "affine";
            if (mode == Mode)
            {
                break;
            }
        }

        return mode;
    }

    /// <summary>The codec name of every quantized module.</summary>
    /// <exception cref="ModelFormatException">The block has no <c>per_tensor</c> with at least one codec name.</exception>
    public static Dictionary<string, string> ReadModules(string path, JsonObject config)
    {
        JsonObject block = Blocks(config).First(candidate => GetString(candidate, "mode") == Mode);
        if (block["per_tensor"] is not JsonObject { Count: > 0 } perTensor)
        {
            throw new ModelFormatException(path, "the kquant block has no per_tensor object that names a module");
        }

        var modules = new Dictionary<string, string>(perTensor.Count);
        foreach ((string module, JsonNode? value) in perTensor)
        {
            if (!TryGetString(value, out string? codec))
            {
                throw new ModelFormatException(path, $"the codec of module '{Printable.Shorten(module)}' is no string");
            }

            modules.Add(module, codec);
        }

        return modules;
    }

    /// <summary>A copy of a config for a checkpoint with these modules; keys and their order stay, earlier quantization goes.</summary>
    public static JsonObject With(JsonObject source, IEnumerable<(string Module, QuantCodec Codec)> modules)
    {
        var config = (JsonObject)source.DeepClone();
        foreach (JsonObject holder in Holders(config))
        {
            holder.Remove(Key);
            holder.Remove(SecondKey);
        }

        (string Module, QuantCodec Codec)[] all = [.. modules];
        if (all.Length > 0)
        {
            JsonObject block = all.Any(module => module.Codec.Mlx is not null) ? MlxConfig.Describe(all) : Describe(all);
            config[Key] = block;
            config[SecondKey] = block.DeepClone();
        }

        return config;
    }

    private static JsonObject Describe(IEnumerable<(string Module, QuantCodec Codec)> modules)
    {
        var perTensor = new JsonObject();
        foreach ((string module, QuantCodec codec) in modules)
        {
            perTensor.Add(module, codec.Name);
        }

        return new JsonObject { ["mode"] = Mode, ["per_tensor"] = perTensor };
    }

    private static IEnumerable<JsonObject> Blocks(JsonObject config)
    {
        foreach (JsonObject holder in Holders(config))
        {
            foreach (string key in (string[])[Key, SecondKey])
            {
                if (holder[key] is JsonObject block)
                {
                    yield return block;
                }
            }
        }
    }

    private static IEnumerable<JsonObject> Holders(JsonObject config)
    {
        yield return config;
        if (config["text_config"] is JsonObject text)
        {
            yield return text;
        }
    }

    private static string? GetString(JsonObject block, string key) => TryGetString(block[key], out string? value) ? value : null;

    private static bool TryGetString(JsonNode? node, [NotNullWhen(true)] out string? value)
    {
        value = node?.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : null;
        return value is not null;
    }
}
