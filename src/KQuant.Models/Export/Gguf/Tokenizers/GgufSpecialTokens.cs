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
    private readonly Dictionary<string, string> _texts = [];
    private readonly OrderedDictionary<string, int> _ids = [];
    private readonly OrderedDictionary<string, bool> _additions = [];

    /// <param name="tokenizer">The tokenizer, if there is one.</param>
    /// <param name="tokenizerConfig">Its configuration, if there is one.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <param name="ends">Ids of tokens that end what is generated.</param>
    /// <param name="size">Ids from here on do not exist.</param>
    public GgufSpecialTokens(TokenizerFile? tokenizer, JsonObject? tokenizerConfig, ConfigValues config, IEnumerable<int> ends, int size)
    {
        foreach ((string name, _) in SpecialTokenKinds.All)
        {
            if (SpecialTokenNames.TextOf(tokenizerConfig?[name + "_token"]) is string text)
            {
                _texts.Add(name, text);
            }
        }

        UseInstead("bos", "cls");
        UseInstead("eos", "sep");
        AddedToken[] added = tokenizer is null ? [] : [.. AddedTokens.Read(tokenizer.Section("added_tokens")).Select(pair => pair.Token)];
        foreach (JsonPlace part in tokenizer is null ? [] : PostProcessor.Parts(tokenizer.Section("post_processor")))
        {
            if (part.Type == "TemplateProcessing" && part["single"].Elements().ToArray() is { Length: > 1 } template)
            {
                ReadTemplate(template, tokenizerConfig is not null);
            }
        }

        foreach ((string name, string key) in SpecialTokenKinds.All.Append(("eot", SpecialTokenKinds.EndOfTurn)))
        {
            int id = _texts.TryGetValue(name, out string? text) ? Array.Find(added, token => token.Text == text)?.Id ?? -1 : -1;
            int found = id >= 0 ? id : IdIn(config, name + "_token_id");
            if (found >= 0 && found < size && (name != "eot" || id >= 0))
            {
                _ids.Add(key, found);
            }
        }

        AddEnds(ends, size);
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
    private void AddEnds(IEnumerable<int> ends, int size)
    {
        foreach (int id in ends)
        {
            if (id < size && !SpecialTokenKinds.Ends.Any(key => _ids.TryGetValue(key, out int known) && known == id)
                && Array.Find(SpecialTokenKinds.Ends, key => !_ids.ContainsKey(key)) is string free)
            {
                _ids[free] = id;
            }
        }
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

    private void ReadTemplate(JsonPlace[] template, bool hasConfig)
    {
        if (PostProcessor.TokenOf(template[0]) is string first)
        {
            bool isKnown = !hasConfig || Is("bos", first) || Is("cls", first);
            if (!isKnown && !_texts.ContainsKey("bos"))
            {
                _texts["bos"] = first;
                isKnown = true;
            }

            _additions["add_bos_token"] = isKnown;
        }

        if (PostProcessor.TokenOf(template[^1]) is string last)
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
}
