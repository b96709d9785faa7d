using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The tokens with a meaning, which Hugging Face folders name beside the tokenizer: in <c>tokenizer_config.json</c> and
/// <c>special_tokens_map.json</c> by text, in
/// <c>generation_config.json</c> and <c>config.json</c> by id.
/// </summary>
internal sealed class SpecialTokens
{
    private readonly TokenTable _tokens;

    /// <summary>Reads what there is; a folder need not have any of these files.</summary>
    /// <param name="tokenizerPath">The path of <c>tokenizer.json</c>.</param>
    /// <param name="tokens">The vocabulary.</param>
    /// <exception cref="ModelFormatException">A file is not well-formed, or an id is none.</exception>
    public SpecialTokens(string tokenizerPath, TokenTable tokens)
    {
        _tokens = tokens;
        string folder = Path.GetDirectoryName(tokenizerPath) ?? "";
        string configPath = Path.Combine(folder, "config.json"), generationPath = Path.Combine(folder, "generation_config.json");
        JsonObject names = SpecialTokenNames.Read(folder, out _);
        JsonObject config = ReadIfThere(configPath), generation = ReadIfThere(generationPath);
        if (config["text_config"] is JsonObject text && config["eos_token_id"] is null)
        {
            config = text;
        }

        Bos = ByName(names["bos_token"]) ?? ByIds(generationPath, generation, "bos_token_id").Concat(ByIds(configPath, config, "bos_token_id"))
            .Cast<int?>().FirstOrDefault();
        Pad = ByName(names["pad_token"]);
        Unknown = ByName(names["unk_token"]);
        var eos = new SortedSet<int>(ByIds(generationPath, generation, "eos_token_id"));
        eos.UnionWith(ByIds(configPath, config, "eos_token_id"));
        if (ByName(names["eos_token"]) is int named)
        {
            eos.Add(named);
        }

        Eos = [.. eos];
    }

    public int? Bos { get; }

    public int? Pad { get; }

    public int? Unknown { get; }

    public int[] Eos { get; }

    /// <summary>The ids of a key that has one or a list.</summary>
    /// <exception cref="ModelFormatException">Something there is no id.</exception>
    public static IEnumerable<int> ByIds(string path, JsonObject config, string key)
    {
        foreach (JsonNode? node in config[key] is JsonArray array ? array : [config[key]?.DeepClone()])
        {
            if (node is null)
            {
                continue;
            }

            yield return node is JsonValue value && value.TryGetValue(out int id) && id >= 0
                ? id
                : throw new ModelFormatException(path, $"{key} is {Printable.Shorten(node.ToJsonString())}, which is no token id");
        }
    }

    private static JsonObject ReadIfThere(string path) => File.Exists(path) ? ConfigFile.Read(path) : [];

    /// <summary>A token by its text.</summary>
    private int? ByName(JsonNode? node)
    {
        return SpecialTokenNames.TextOf(node) is string text && _tokens.TryGet(Encoding.UTF8.GetBytes(text), out int id) ? id : null;
    }
}
