using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>
/// The chat templates of a checkpoint: in <c>tokenizer_config.json</c>, one or a list with names, else <c>chat_template.jinja</c> with more in
/// <c>additional_chat_templates</c>, else <c>chat_template.json</c>.
/// </summary>
internal static class ChatTemplates
{
    private const string Key = "tokenizer.chat_template";
    private const string Default = "default";
    private const string MoreFolder = "additional_chat_templates/";
    private const string Jinja = ".jinja";
    private const int MaxLength = 4 << 20;

    public static void Write(GgufMetadata metadata, JsonObject? config, AuxiliaryFiles files)
    {
        List<(string Name, string Text)> templates = Find(config, files);
        var others = new List<string>();
        foreach ((string name, string text) in templates)
        {
            string key = new([.. name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')]);
            if (key.Length > 0 && key != Default && !others.Contains(key))
            {
                metadata.Set($"{Key}.{key}", text);
                others.Add(key);
            }
        }

        if (others.Count > 0)
        {
            metadata.SetStrings("tokenizer.chat_templates", others);
        }

        if (templates.Find(template => template.Name == Default).Text is string standard)
        {
            metadata.Set(Key, standard);
        }
    }

    private static List<(string Name, string Text)> Find(JsonObject? config, AuxiliaryFiles files)
    {
        if (config?["chat_template"] is JsonNode node)
        {
            return Read(node);
        }

        if (files.TryFind("chat_template" + Jinja, out string? path))
        {
            return
            [
                (Default, ReadText(path)),
                .. files.Files
                    .Where(file => file.RelativePath.StartsWith(MoreFolder, StringComparison.Ordinal)
                        && file.RelativePath.EndsWith(Jinja, StringComparison.Ordinal))
                    .Select(file => (file.RelativePath[MoreFolder.Length..^Jinja.Length], ReadText(file.FullPath))),
            ];
        }

        return files.TryFind("chat_template.json", out path) && ConfigFile.Read(path)["chat_template"] is JsonNode other ? Read(other) : [];
    }

    private static List<(string Name, string Text)> Read(JsonNode node)
    {
        if (node.AsString() is string text)
        {
            return [(Default, text)];
        }

        var templates = new List<(string, string)>();
        foreach (JsonNode? entry in node as JsonArray ?? [])
        {
            if (entry is JsonObject && entry["name"].AsString() is string name && entry["template"].AsString() is string template)
            {
                templates.Add((name, template));
            }
        }

        return templates;
    }

    private static string ReadText(string path)
    {
        using MappedFile file = MappedFile.Open(path);
        if (file.Length > MaxLength)
        {
            throw new ModelFormatException(path, $"the template has {file.Length} bytes; at most {MaxLength} are read");
        }

        return Encoding.UTF8.GetString(file.UnsafeBytes(0, (int)file.Length));
    }
}
