using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Codecs.Files;

/// <summary>
/// The <c>quantization</c> object of a checkpoint that MLX has quantized: <c>{"group_size": 64, "bits": 4, "mode": "affine", PATH: ...}</c>. What a path
/// has is an object with sizes of its own, <c>true</c> for those of all, or <c>false</c> for a module that is not quantized.
/// </summary>
internal sealed class MlxConfig
{
    private const string Key = "quantization";
    private const string SecondKey = "quantization_config";

    private readonly MlxFormat _format;
    private readonly Dictionary<string, MlxFormat?> _modules = [];

    private MlxConfig(string path, JsonObject block)
    {
        _format = ReadFormat(path, Key, block);
        foreach ((string name, JsonNode? value) in block)
        {
            switch (value?.GetValueKind())
            {
                case JsonValueKind.Object:
                    _modules.Add(name, ReadFormat(path, name, (JsonObject)value));
                    break;
                case JsonValueKind.True:
                    _modules.Add(name, _format);
                    break;
                case JsonValueKind.False:
                    _modules.Add(name, null);
                    break;
                default:
                    if (name.Contains('.', StringComparison.Ordinal))
                    {
                        throw new ModelFormatException(
                            path, $"the quantization of '{Printable.Shorten(name)}' is neither an object nor true nor false");
                    }

                    break;
            }
        }
    }

    /// <summary>Reads it, if the checkpoint is one of MLX's.</summary>
    /// <param name="path">The config's path, for messages.</param>
    /// <param name="config">The config.</param>
    /// <param name="result">What it says of modules.</param>
    /// <returns>False if another scheme, or none, is named.</returns>
    /// <exception cref="ModelFormatException">A mode, a number of bits or a group size that MLX does not have.</exception>
    public static bool TryRead(string path, JsonObject config, [NotNullWhen(true)] out MlxConfig? result)
    {
        result = null;
        JsonObject? block = config[Key] as JsonObject ?? config[SecondKey] as JsonObject;
        if (block is null || block.ContainsKey("quant_method") || !(block.ContainsKey("bits") || block.ContainsKey("group_size") || block.ContainsKey("mode")))
        {
            return false;
        }

        if (block["mode"].AsString() is string mode && !MlxFormat.TryParseMode(mode, out _))
        {
            return false;
        }

        if (config["quantize_activations"]?.GetValueKind() == JsonValueKind.True)
        {
            throw new ModelFormatException(path, "quantize_activations is true, and activations are not quantized as MLX does it here");
        }

        result = new MlxConfig(path, block);
        return true;
    }

    /// <summary>How a module is quantized whose scales are there.</summary>
    /// <param name="module">Its path, without <c>.weight</c>.</param>
    /// <param name="format">The format; null for a module that is not quantized.</param>
    /// <returns>Whether the config says so of the module itself.</returns>
    public bool TryGet(string module, out MlxFormat? format)
    {
        bool isNamed = _modules.TryGetValue(module, out format);
        format = isNamed ? format : _format;
        return isNamed;
    }

    /// <summary>The object for modules of a new checkpoint: the format of most of them, and whatever differs by path.</summary>
    /// <exception cref="NotSupportedException">Some modules are GGUF blocks, which MLX keeps in checkpoints of their own.</exception>
    public static JsonObject Describe(IReadOnlyCollection<(string Module, QuantCodec Codec)> modules)
    {
        (string Module, QuantCodec Codec)? other = modules.Where(module => module.Codec.Mlx is null).Select(module => ((string, QuantCodec)?)module).FirstOrDefault();
        if (other is { } block)
        {
            throw new NotSupportedException($"'{block.Module}' would be {block.Codec.Name} in a checkpoint whose other modules MLX quantizes itself; it is one or the other.");
        }

        MlxFormat main = modules.GroupBy(module => module.Codec.Mlx!).MaxBy(group => group.Count())!.Key;
        JsonObject result = ToJson(main);
        foreach ((string module, QuantCodec codec) in modules.Where(module => module.Codec.Mlx != main))
        {
            result.Add(module, ToJson(codec.Mlx!));
        }

        return result;
    }

    private static JsonObject ToJson(MlxFormat format) =>
        new() { ["group_size"] = format.GroupSize, ["bits"] = format.Bits, ["mode"] = format.ModeName };

    private static MlxFormat ReadFormat(string path, string name, JsonObject block)
    {
        MlxMode mode = MlxMode.Affine;
        if (block["mode"] is JsonNode node && !MlxFormat.TryParseMode(node.AsString(), out mode))
        {
            throw new ModelFormatException(path, $"the mode of '{Printable.Shorten(name)}' is {Printable.Shorten(node.ToJsonString())}; MLX has affine, mxfp4, mxfp8 and nvfp4");
        }

        if (!MlxFormat.TryCreate(mode, ReadSize(path, name, block, "group_size"), ReadSize(path, name, block, "bits"), out MlxFormat? format, out string? problem))
        {
            throw new ModelFormatException(path, $"'{Printable.Shorten(name)}': {problem}");
        }

        return format;
    }

    private static int? ReadSize(string path, string name, JsonObject block, string key)
    {
        if (block[key] is not JsonNode node)
        {
            return null;
        }

        return node is JsonValue value && value.TryGetValue(out int size)
            ? size
            : throw new ModelFormatException(path, $"{key} of '{Printable.Shorten(name)}' is {Printable.Shorten(node.ToJsonString())}, which is no size");
    }
}
