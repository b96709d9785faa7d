using System.Text.Json.Nodes;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>
/// The texts of the special tokens of a folder, as transformers finds them: in <c>tokenizer_config.json</c>, and in
/// <c>special_tokens_map.json</c>, which counts more in folders from before the former listed the added tokens.
/// </summary>
internal static class SpecialTokenNames
{
    /// <summary>Reads both files; a folder need not have either.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="config">What <c>tokenizer_config.json</c> holds; empty without one.</param>
    /// <returns>By key, such as <c>bos_token</c>, the text; <c>additional_special_tokens</c> is a list.</returns>
    /// <exception cref="Codecs.ModelFormatException">A file is not well-formed.</exception>
    public static JsonObject Read(string folder, out JsonObject config)
    {
        config = ReadIfThere(Path.Combine(folder, "tokenizer_config.json"));
        JsonObject map = ReadIfThere(Path.Combine(folder, "special_tokens_map.json"));
        var names = new JsonObject();
        JsonObject[] sources = config["added_tokens_decoder"] is null ? [config, map] : [map, config];
        foreach (JsonObject source in sources)
        {
            foreach ((string key, JsonNode? node) in source)
            {
                if (key.EndsWith("_token", StringComparison.Ordinal) && TextOf(node) is string text)
                {
                    names[key] = text;
                }
                else if (key == "additional_special_tokens" && node is JsonArray more)
                {
                    names[key] = new JsonArray([.. more.Select(TextOf).OfType<string>().Select(token => JsonValue.Create(token))]);
                }
            }
        }

        return names;
    }

    /// <summary>A text, or the <c>content</c> of an object.</summary>
    public static string? TextOf(JsonNode? node)
    {
        node = node is JsonObject described ? described["content"] : node;
        return node is JsonValue value && value.TryGetValue(out string? text) ? text : null;
    }

    private static JsonObject ReadIfThere(string path) => File.Exists(path) ? ConfigFile.Read(path) : [];
}
