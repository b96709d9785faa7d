using System.Text;
using System.Text.Json.Nodes;
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
    /// <summary>The key of a GGUF; others are behind it, with a point between.</summary>
    public const string GgufKey = "tokenizer.chat_template";

    private const string MoreFolder = "additional_chat_templates/";
    private const string Jinja = ".jinja";

    /// <summary>The templates of a folder, and the special tokens that they write, as transformers finds them.</summary>
    public static TemplateSet OfFolder(string folder)
    {
        JsonObject variables = SpecialTokenNames.Read(folder, out JsonObject config);
        return new TemplateSet(OfFolder(folder, config, TemplateOrder.Transformers, only: null), variables);
    }

    /// <summary>
    /// The templates of a folder by name: in <c>tokenizer_config.json</c>, in files of their own, or, when there are no others, in the
    /// <c>chat_template.json</c> of older processors.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="config">What <c>tokenizer_config.json</c> holds.</param>
    /// <param name="order">Which of the former two hides the other.</param>
    /// <param name="only">The files that belong to the folder; null if all do that lie in it.</param>
    public static Dictionary<string, string> OfFolder(string folder, JsonObject config, TemplateOrder order, AuxiliaryFiles? only)
    {
        var templates = new Dictionary<string, string>(StringComparer.Ordinal);
        if (order == TemplateOrder.Transformers)
        {
            AddFiles(templates, folder, only);
        }

        if (templates.Count == 0)
        {
            Add(templates, Path.Combine(folder, "tokenizer_config.json"), config["chat_template"]);
        }

        if (templates.Count == 0 && order == TemplateOrder.LlamaCpp)
        {
            AddFiles(templates, folder, only);
        }

        if (templates.Count == 0 && Find(folder, "chat_template.json", only) is string old)
        {
            Add(templates, old, ConfigFile.Read(old)["chat_template"]);
        }

        return templates;
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
        foreach ((string name, string key) in SpecialTokenKinds.All)
        {
            string full = SpecialTokenKinds.GgufPrefix + key;
            if (tokens is not null && metadata.ContainsKey(full) && metadata.GetInteger(full) is >= 0 and long id && id < tokens.Count)
            {
                variables[name + "_token"] = tokens[(int)id];
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

    private static void AddFiles(Dictionary<string, string> templates, string folder, AuxiliaryFiles? only)
    {
        if (Find(folder, "chat_template" + Jinja, only) is string own)
        {
            templates[Default] = ReadText(own);
        }

        string more = Path.Combine(folder, MoreFolder);
        IEnumerable<string> files = only is not null ? only.Files.Where(file => file.RelativePath.StartsWith(MoreFolder, StringComparison.Ordinal)).Select(file => file.FullPath)
            : Directory.Exists(more) ? Directory.EnumerateFiles(more).Order(StringComparer.Ordinal) : [];
        foreach (string path in files.Where(path => path.EndsWith(Jinja, StringComparison.Ordinal)).Take(MaxTemplates))
        {
            templates[Path.GetFileNameWithoutExtension(path)] = ReadText(path);
        }
    }

    private static string? Find(string folder, string name, AuxiliaryFiles? only)
    {
        string path = Path.Combine(folder, name);
        return only is not null ? only.TryFind(name, out string? found) ? found : null : File.Exists(path) ? path : null;
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

    private static string ReadText(string path) => Encoding.UTF8.GetString(WholeFile.ReadUtf8(path, MaxFileBytes).Span);
}
