using System.Text;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Templates;

/// <summary>Finds the chat templates of a model, and the special tokens that they write.</summary>
internal static class TemplateFiles
{
    private const int MaxFileBytes = 4 << 20;
    private const string GgufKey = "tokenizer.chat_template";

    /// <summary>The default template, the one for tools, and the variables that come with the model.</summary>
    public static (string? Source, string? ForTools, JsonObject Variables) OfFolder(string folder)
    {
        string configPath = Path.Combine(folder, "tokenizer_config.json");
        JsonObject config = File.Exists(configPath) ? ConfigFile.Read(configPath) : [];
        var variables = new JsonObject();
        foreach ((string name, JsonNode? node) in config)
        {
            if (name.EndsWith("_token", StringComparison.Ordinal) && TextOf(node) is string text)
            {
                variables[name] = text;
            }
        }

        if (config["additional_special_tokens"] is JsonArray more)
        {
            variables["additional_special_tokens"] = new JsonArray([.. more.Select(node => TextOf(node)).OfType<string>().Select(text => JsonValue.Create(text))]);
        }

        string own = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(own))
        {
            return (ReadText(own), null, variables);
        }

        switch (config["chat_template"])
        {
            case JsonArray named:
                var templates = new Dictionary<string, string>(StringComparer.Ordinal);
                foreach (JsonNode? entry in named)
                {
                    if (entry is JsonObject pair && TextOf(pair["name"]) is string name && TextOf(pair["template"]) is string template)
                    {
                        templates.TryAdd(name, template);
                    }
                }

                return (templates.GetValueOrDefault("default"), templates.GetValueOrDefault("tool_use"), variables);
            case null:
                return (null, null, variables);
            case JsonNode node:
                return (TextOf(node) ?? throw new ModelFormatException(configPath, "chat_template is no text and no list of texts"), null, variables);
        }
    }

    public static (string? Source, string? ForTools, JsonObject Variables) OfGguf(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        return OfGguf(file.Metadata);
    }

    public static (string? Source, string? ForTools, JsonObject Variables) OfGguf(GgufMetadata metadata)
    {
        var variables = new JsonObject();
        GgufStrings? tokens = metadata.ContainsKey("tokenizer.ggml.tokens") ? metadata.GetStrings("tokenizer.ggml.tokens") : null;
        foreach ((string key, string name) in ((string, string)[])[("bos_token_id", "bos_token"), ("eos_token_id", "eos_token"),
            ("unknown_token_id", "unk_token"), ("padding_token_id", "pad_token")])
        {
            string full = "tokenizer.ggml." + key;
            if (tokens is not null && metadata.ContainsKey(full) && metadata.GetInteger(full) is >= 0 and long id && id < tokens.Count)
            {
                variables[name] = tokens[(int)id];
            }
        }

        return (Text(metadata, GgufKey), Text(metadata, GgufKey + ".tool_use"), variables);
    }

    private static string ReadText(string path)
    {
        FileKinds.CheckReadable(path);
        if (new FileInfo(path).Length > MaxFileBytes)
        {
            throw new ModelFormatException(path, $"the file has more than {MaxFileBytes} bytes");
        }

        byte[] text = File.ReadAllBytes(path);
        return Utf8.IsValid(text)
            ? Encoding.UTF8.GetString(text.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? text.AsSpan(3) : text)
            : throw new ModelFormatException(path, "the file is not valid UTF-8");
    }

    private static string? Text(GgufMetadata metadata, string key) => metadata.ContainsKey(key) ? metadata.Get<string>(key) : null;

    /// <summary>A text, or the <c>content</c> of an object.</summary>
    private static string? TextOf(JsonNode? node)
    {
        node = node is JsonObject described ? described["content"] : node;
        return node is JsonValue value && value.TryGetValue(out string? text) ? text : null;
    }
}
