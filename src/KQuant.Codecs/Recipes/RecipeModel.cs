using System.Text.Json.Nodes;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Recipes;

/// <summary>What the lines of a recipe ask about a model.</summary>
public sealed record RecipeModel
{
    private static readonly string[] WithSeventyBillion = ["llama", "deci", "qwen2", "qwen2vl"];

    /// <summary>The architecture, as a GGUF names it, or the <c>model_type</c> of a checkpoint; null if unknown.</summary>
    public string? Architecture { get; init; }

    /// <summary>Layers; 0 if unknown: then the tensors tell.</summary>
    public long LayerCount { get; init; }

    /// <summary>Query heads of the first layer; 0 if unknown.</summary>
    public long HeadCount { get; init; }

    /// <summary>Key heads of the first layer; 0 if unknown.</summary>
    public long KeyValueHeadCount { get; init; }

    /// <summary>Routed experts of a layer; 0 for none.</summary>
    public long ExpertCount { get; init; }

    /// <summary>Whether tensors have their GGUF names.</summary>
    internal bool IsGguf { get; init; }

    internal bool HasWideGroups => KeyValueHeadCount > 0 && HeadCount / KeyValueHeadCount >= 4;

    /// <summary>Told by architecture and layers, as llama.cpp does.</summary>
    internal bool HasSeventyBillion => LayerCount == 80 && WithSeventyBillion.Contains(Architecture)
        && (Architecture != "llama" || HeadCount != KeyValueHeadCount);

    internal bool IsFalcon => Architecture == "falcon";

    /// <summary>Reads the numbers from GGUF metadata or from <c>config.json</c>.</summary>
    /// <param name="source">A model.</param>
    /// <returns>What is known; nothing is required.</returns>
    public static RecipeModel Of(ModelSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return source switch
        {
            GgufSource gguf => OfMetadata(source.Architecture, gguf.Metadata),
            ModelFolder folder => OfConfig(source.Architecture, folder.Config["text_config"] as JsonObject ?? folder.Config),
            _ => new RecipeModel { Architecture = source.Architecture },
        };
    }

    private static RecipeModel OfMetadata(string? architecture, GgufMetadata metadata)
    {
        long heads = First("attention.head_count");
        return new RecipeModel
        {
            Architecture = architecture,
            LayerCount = First("block_count"),
            HeadCount = heads,
            KeyValueHeadCount = metadata.ContainsKey($"{architecture}.attention.head_count_kv") ? First("attention.head_count_kv") : heads,
            ExpertCount = First("expert_count"),
            IsGguf = true,
        };

        // Heads may be a list, one number for each layer.
        long First(string key) =>
            !metadata.TryGetValue($"{architecture}.{key}", out GgufValue? value) ? 0
            : value.TryGetInteger(out long number) ? number
            : value.TryGetArray(out int[]? numbers) && numbers.Length > 0 ? numbers[0]
            : value.TryGetArray(out uint[]? counts) && counts.Length > 0 ? counts[0]
            : 0;
    }

    private static RecipeModel OfConfig(string? architecture, JsonObject config)
    {
        long heads = First("num_attention_heads", "n_head");
        return new RecipeModel
        {
            Architecture = architecture,
            LayerCount = First("num_hidden_layers", "n_layer"),
            HeadCount = heads,
            KeyValueHeadCount = First("num_key_value_heads") is > 0 and long keys ? keys : heads,
            ExpertCount = First("num_local_experts", "num_experts", "n_routed_experts"),
        };

        long First(params string[] keys) => keys
            .Select(key => config[key] is JsonValue value && value.TryGetValue(out long number) ? number : 0)
            .FirstOrDefault(number => number > 0);
    }
}
