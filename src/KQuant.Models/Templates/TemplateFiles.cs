using System.Text;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>The chat templates of a model by name, and the variables that come with it.</summary>
internal sealed record TemplateSet(Dictionary<string, string> Templates, JsonObject Variables);

/// <summary>Finds the chat templates of a model, and the special tokens that they write.</summary>
internal static class TemplateFiles
{
    /// <summary>The template that counts when none is asked for.</summary>
    public const string Default = "default";

    /// <summary>The template that counts when there are tools.</summary>
    public const string ForTools = "tool_use";

    private const int MaxFileBytes = 4 << 20;
    private const int MaxTemplates = 100;
    private const string MoreFolder = "additional_chat_templates";
    private const string GgufKey = "tokenizer.chat_template";

    /// <summary>
    /// The templates of a folder as transformers finds them: those in files of their own hide those of <c>tokenizer_config.json</c>; the
    /// <c>chat_template.json</c> of older processors counts when there are no others.
    /// </summary>
    public static TemplateSet OfFolder(string folder)
    {
        JsonObject variables = SpecialTokenNames.Read(folder, out JsonObject config);
        var templates = new Dictionary<string, string>(StringComparer.Ordinal);
        string own = Path.Combine(folder, "chat_template.jinja"), more = Path.Combine(folder, MoreFolder);
        if (File.Exists(own))
        {
            templates[Default] = ReadText(own);
        }

        if (Directory.Exists(more))
        {
            foreach (string path in Directory.EnumerateFiles(more, "*.jinja").Order(StringComparer.Ordinal).Take(MaxTemplates))
            {
                templates[Path.GetFileNameWithoutExtension(path)] = ReadText(path);
            }
        }

        if (templates.Count == 0)
        {
            Add(templates, Path.Combine(folder, "tokenizer_config.json"), config["chat_template"]);
        }

        string old = Path.Combine(folder, "chat_template.json");
        if (templates.Count == 0 && File.Exists(old))
        {
            Add(templates, old, ConfigFile.Read(old)["chat_template"]);
        }

        return new TemplateSet(templates, variables);
    }

    public static TemplateSet OfGguf(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        return OfGguf(file.Metadata);
    }

    public static TemplateSet OfGguf(GgufMetadata metadata)
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

        var templates = new Dictionary<string, string>(StringComparer.Ordinal);
        if (metadata.ContainsKey(GgufKey))
        {
            templates[Default] = metadata.Get<string>(GgufKey);
        }

        foreach (string key in metadata.Keys.Where(key => key.StartsWith(GgufKey + ".", StringComparison.Ordinal)).Take(MaxTemplates))
        {
            templates.TryAdd(key[(GgufKey.Length + 1)..], metadata.Get<string>(key));
        }

        return new TemplateSet(templates, variables);
    }

    /// <summary>Takes a template, a list of objects with <c>name</c> and <c>template</c>, or an object of templates by name.</summary>
    private static void Add(Dictionary<string, string> templates, string path, JsonNode? node)
    {
        switch (node)
        {
            case null:
                return;
            case JsonArray named:
                foreach (JsonNode? entry in named)
                {
                    if (entry is JsonObject pair && SpecialTokenNames.TextOf(pair["name"]) is string name
                        && SpecialTokenNames.TextOf(pair["template"]) is string template)
                    {
                        // As in a Python dictionary, the last of a name counts.
                        templates[name] = template;
                    }
                }

                return;
            case JsonObject byName:
                foreach ((string name, JsonNode? entry) in byName)
                {
                    templates[name] = SpecialTokenNames.TextOf(entry) ?? throw new ModelFormatException(path, $"chat_template.{name} is no text");
                }

                return;
            default:
                templates[Default] = SpecialTokenNames.TextOf(node)
                    ?? throw new ModelFormatException(path, "chat_template is no text and no list of texts");
                return;
        }
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
}
