using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the <c>post_processor</c> section of a <c>tokenizer.json</c>: what stands before and behind a text.</summary>
internal static class PostProcessor
{
    /// <exception cref="Codecs.ModelFormatException">The section is not well-formed or of a kind that is not known.</exception>
    public static (int[] Prefix, int[] Suffix) Read(JsonPlace section, TokenTable tokens)
    {
        List<int> prefix = [], suffix = [];
        foreach (JsonPlace part in Parts(section))
        {
            Add(part, tokens, prefix, suffix);
        }

        return ([.. prefix], [.. suffix]);
    }

    /// <summary>The processors, one behind the other.</summary>
    public static IEnumerable<JsonPlace> Parts(JsonPlace section) => section.IsNull ? []
        : section.Type == "Sequence" ? section["processors"].Elements().SelectMany(Parts) : [section];

    /// <summary>The special token at a place of a template; null where the text stands.</summary>
    public static string? TokenOf(JsonPlace part) => part["SpecialToken"].IsNull ? null : part["SpecialToken"]["id"].AsText();

    private static void Add(JsonPlace section, TokenTable tokens, List<int> prefix, List<int> suffix)
    {
        switch (section.Type)
        {
            case "ByteLevel":
                // Corrects offsets, which nobody asks for here.
                break;
            case "TemplateProcessing":
                AddTemplate(section, tokens, prefix, suffix);
                break;
            case "RobertaProcessing" or "BertProcessing":
                prefix.Insert(0, Known(section["cls"].Elements().ElementAtOrDefault(1), tokens));
                suffix.Add(Known(section["sep"].Elements().ElementAtOrDefault(1), tokens));
                break;
            default:
                throw section["type"].Error($"is '{Printable.Shorten(section.Type)}', which is not supported");
        }
    }

    private static void AddTemplate(JsonPlace section, TokenTable tokens, List<int> prefix, List<int> suffix)
    {
        var before = new List<int>();
        bool behind = false;
        foreach (JsonPlace part in section["single"].Elements())
        {
            if (!part["Sequence"].IsNull)
            {
                if (behind || part["Sequence"]["id"].AsText() != "A")
                {
                    throw part.Error("is a second sequence; a template for one text has one");
                }

                behind = true;
                continue;
            }

            string name = TokenOf(part) ?? throw part.Error("is neither a text nor a special token");
            foreach (JsonPlace id in section["special_tokens"][name]["ids"].Elements())
            {
                (behind ? suffix : before).Add(Known(id, tokens));
            }
        }

        prefix.InsertRange(0, before);
    }

    private static int Known(JsonPlace place, TokenTable tokens) => place.AsNumber(0, tokens.Count - 1);
}
