using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>
/// The ids of the tokens that begin, end and pad texts, and which of them a tokenizer adds, found where llama.cpp's converter finds them:
/// names in <c>tokenizer_config.json</c>, else ids in <c>config.json</c>; the template of the post-processor, unless the configuration says it.
/// </summary>
internal sealed class GgufSpecialTokens
{
    /// <summary>Names in a checkpoint and the keys of a GGUF, of which one is spelled as it is.</summary>
    private static readonly (string Name, string Key)[] Kinds =
    [
        ("bos", "bos_token_id"), ("eos", "eos_token_id"), ("unk", "unknown_token_id"), ("sep", "seperator_token_id"),
        ("pad", "padding_token_id"), ("cls", "cls_token_id"), ("mask", "mask_token_id"),
    ];

    private static readonly string[] EndKeys = ["eos_token_id", "eot_token_id", "eom_token_id"];

    private readonly Dictionary<string, string> _texts = [];
    private readonly OrderedDictionary<string, int> _ids = [];
    private readonly OrderedDictionary<string, bool> _additions = [];

    /// <param name="tokenizer">The tokenizer, if there is one.</param>
    /// <param name="tokenizerConfig">Its configuration, if there is one.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <param name="generation">How texts are generated, if that is configured.</param>
    /// <param name="size">Ids from here on do not exist.</param>
    public GgufSpecialTokens(ExportedTokenizer? tokenizer, JsonObject? tokenizerConfig, ConfigValues config, JsonObject? generation, int size)
    {
        foreach ((string name, _) in Kinds)
        {
            JsonNode? token = tokenizerConfig?[name + "_token"];
            if ((token.AsString() ?? (token as JsonObject)?["content"].AsString()) is string text)
            {
                _texts.Add(name, text);
            }
        }

        UseInstead("bos", "cls");
        UseInstead("eos", "sep");
        ReadTemplate(tokenizer?.PostProcessor, tokenizerConfig is not null);
        foreach ((string name, string key) in (IEnumerable<(string, string)>)[.. Kinds, ("eot", "eot_token_id")])
        {
            int id = _texts.TryGetValue(name, out string? text) && tokenizer is not null ? FindId(tokenizer, text) : -1;
            int found = id >= 0 ? id : IdIn(config, name + "_token_id");
            if (found >= 0 && found < size && (name != "eot" || id >= 0))
            {
                _ids.Add(key, found);
            }
        }

        AddEnds(generation, size);
        foreach (string name in (string[])["bos", "eos", "sep"])
        {
            if (tokenizerConfig?[$"add_{name}_token"].AsBoolean() is bool adds)
            {
                _additions[$"add_{name}_token"] = adds;
            }
        }
    }

    /// <summary>Keys behind <c>tokenizer.ggml.</c> and ids.</summary>
    public IEnumerable<KeyValuePair<string, int>> Ids => _ids;

    /// <summary>Keys behind <c>tokenizer.ggml.</c> and whether the token is added.</summary>
    public IEnumerable<KeyValuePair<string, bool>> Additions => _additions;

    /// <summary>Tokens that end a text and that only the configuration of the generation names, in the places that a GGUF has for them.</summary>
    private void AddEnds(JsonObject? generation, int size)
    {
        const string End = "eos_token_id";
        foreach (JsonNode? node in generation?[End] is JsonArray several ? several : [generation?[End]?.DeepClone()])
        {
            if (node.AsInteger() is long id && id >= 0 && id < size && !EndKeys.Any(key => _ids.TryGetValue(key, out int known) && known == id)
                && Array.Find(EndKeys, key => !_ids.ContainsKey(key)) is string free)
            {
                _ids[free] = (int)id;
            }
        }
    }

    private static int FindId(ExportedTokenizer tokenizer, string text)
    {
        foreach (AddedToken added in tokenizer.Added)
        {
            if (added.Text == text)
            {
                return added.Id;
            }
        }

        return -1;
    }

    /// <summary>The id in a configuration; llama.cpp's converter takes none of a list, and a negative one stands for none.</summary>
    private static int IdIn(ConfigValues config, string key) =>
        config.Get(key) is JsonNode value and not JsonArray && value.AsInteger() is not < 0 && config.GetIds(key) is [int id] ? id : -1;

    private void UseInstead(string missing, string other)
    {
        if (!_texts.ContainsKey(missing) && _texts.TryGetValue(other, out string? text))
        {
            _texts.Add(missing, text);
        }
    }

    private void ReadTemplate(JsonNode? processor, bool hasConfig)
    {
        if (processor is not JsonObject)
        {
            return;
        }

        foreach (JsonObject part in (processor["processors"] as JsonArray)?.OfType<JsonObject>() ?? [(JsonObject)processor])
        {
            if (part["type"].AsString() == "TemplateProcessing" && part["single"] is JsonArray { Count: > 1 } template)
            {
                ReadTemplate(template, hasConfig);
            }
        }
    }

    private void ReadTemplate(JsonArray template, bool hasConfig)
    {
        if (TokenOf(template[0]) is string first)
        {
            bool isKnown = !hasConfig || Is("bos", first) || Is("cls", first);
            if (!isKnown && !_texts.ContainsKey("bos"))
            {
                _texts["bos"] = first;
                isKnown = true;
            }

            _additions["add_bos_token"] = isKnown;
        }

        if (TokenOf(template[^1]) is string last)
        {
            if (hasConfig && !Is("eos", last))
            {
                // What was called the end of a text then ends a turn.
                if (_texts.TryGetValue("eos", out string? turn))
                {
                    _texts["eot"] = turn;
                }

                _texts["eos"] = last;
            }

            _additions["add_eos_token"] = true;
        }
    }

    private bool Is(string name, string text) => _texts.TryGetValue(name, out string? known) && known == text;

    private static string? TokenOf(JsonNode? part) => ((part as JsonObject)?["SpecialToken"] as JsonObject)?["id"].AsString();
}
