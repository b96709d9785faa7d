using KQuant.Codecs.Files;
using KQuant.Models.Templates;

namespace KQuant.Models.Export;

/// <summary>The chat templates of a checkpoint as metadata.</summary>
internal static class ChatTemplates
{
    public static void Write(GgufMetadata metadata, Dictionary<string, string> templates)
    {
        var others = new List<string>();
        foreach ((string name, string text) in templates)
        {
            string key = new([.. name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')]);
            if (key.Length > 0 && key != TemplateFiles.Default && !others.Contains(key))
            {
                metadata.Set($"{TemplateFiles.GgufKey}.{key}", text);
                others.Add(key);
            }
        }

        if (others.Count > 0)
        {
            metadata.SetStrings("tokenizer.chat_templates", others);
        }

        if (templates.TryGetValue(TemplateFiles.Default, out string? standard))
        {
            metadata.Set(TemplateFiles.GgufKey, standard);
        }
    }
}
