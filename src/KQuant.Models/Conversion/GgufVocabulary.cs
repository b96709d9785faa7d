using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Conversion;

/// <summary>A <c>tokenizer.json</c> as the metadata that llama.cpp reads its tokenizer from.</summary>
internal static partial class GgufVocabulary
{
    private const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;

    /// <summary>
    /// llama.cpp's names of pre-tokenizers, by a part of the regular expression that tells them apart; the first that matches wins.
    /// </summary>
    private static readonly (string Part, string Name)[] PreTokenizers =
    [
        (@"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "llama-bpe"),
        (@"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "qwen2"),
        (@"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "qwen35"),
        (@"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|", "tekken"),
        (@"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+", "gpt-4o"),
        (@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", "gpt-2"),
    ];

    public static void Write(GgufMetadata metadata, string folder, ModelConfig config)
    {
        string path = Path.Combine(folder, "tokenizer.json");
        JsonObject tokenizer = ReadObject(path) ?? throw new ModelFormatException(path, "the file is missing; a GGUF file holds its tokenizer");
        JsonObject settings = ReadObject(Path.Combine(folder, "tokenizer_config.json")) ?? [];
        if (tokenizer["model"] is not JsonObject model || Text(model["type"]) is not (null or "BPE") || model["vocab"] is not JsonObject vocabulary)
        {
            throw new ModelFormatException(path, "only BPE tokenizers can be written into a GGUF file");
        }

        bool isSentencePiece = model["byte_fallback"] is JsonValue fallback && fallback.GetValueKind() == JsonValueKind.True;
        var tokens = new Tokens(path, config.VocabularySize, isSentencePiece);
        foreach ((string text, JsonNode? id) in vocabulary)
        {
            tokens.Set(text, Id(path, id), isSentencePiece && ByteToken.IsMatch(text) ? Byte : Normal);
        }

        List<string> merges = ReadMerges(path, model);
        if (isSentencePiece)
        {
            tokens.Rank(merges);
        }

        var added = new Dictionary<string, int>();
        foreach (JsonNode? node in tokenizer["added_tokens"] as JsonArray ?? [])
        {
            string text = Text(node?["content"]) ?? throw new ModelFormatException(path, "an added token has no 'content'");
            int id = Id(path, node!["id"]);
            bool isSpecial = node["special"] is JsonValue special && special.GetValueKind() == JsonValueKind.True;
            added[text] = id;
            if (text == Text(model["unk_token"]))
            {
                tokens.Set(text, id, Unknown);
            }
            else if (isSpecial || LooksSpecial.IsMatch(text))
            {
                tokens.Set(text, id, Control);
            }
            else
            {
                tokens.Set(text.Replace('\u2581', ' '), id, UserDefined);
            }
        }

        metadata.Set("tokenizer.ggml.model", GgufValue.From(isSentencePiece ? "llama" : "gpt2"));
        metadata.Set("tokenizer.ggml.pre", GgufValue.From(isSentencePiece ? "default" : FindPreTokenizer(path, tokenizer["pre_tokenizer"])));
        tokens.Write(metadata);
        if (!isSentencePiece)
        {
            metadata.SetStrings("tokenizer.ggml.merges", merges);
        }

        WriteSpecial(metadata, tokenizer, settings, added, config, isSentencePiece);
        if (ReadTemplate(folder, settings) is string template)
        {
            metadata.Set("tokenizer.chat_template", GgufValue.From(template));
        }
    }

    [GeneratedRegex(@"^<0x[0-9A-Fa-f]{2}>$")]
    private static partial Regex ByteToken { get; }

    [GeneratedRegex(@"^<\|.*\|>$|^<(pad|mask|2mass)>$|^\[@BOS@\]$|^<unused\d+>$")]
    private static partial Regex LooksSpecial { get; }

    private static JsonObject? ReadObject(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path)) as JsonObject ?? throw new ModelFormatException(path, "the file holds no JSON object");
        }
        catch (JsonException exception)
        {
            throw new ModelFormatException(path, $"the file is not valid JSON: {exception.Message}", innerException: exception);
        }
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private static int Id(string path, JsonNode? node) => node is JsonValue value && value.TryGetValue(out int id) && id >= 0
        ? id
        : throw new ModelFormatException(path, $"a token has the id {node?.ToJsonString() ?? "null"}");

    /// <summary>The merges as "left right"; a space inside a part is spelt as byte-level tokenizers do.</summary>
    private static List<string> ReadMerges(string path, JsonObject model)
    {
        var merges = new List<string>();
        foreach (JsonNode? node in model["merges"] as JsonArray ?? [])
        {
            merges.Add(node switch
            {
                JsonArray { Count: 2 } pair when Text(pair[0]) is { } left && Text(pair[1]) is { } right =>
                    $"{left.Replace(' ', '\u0120')} {right.Replace(' ', '\u0120')}",
                _ => Text(node) ?? throw new ModelFormatException(path, "a merge is neither a string nor a pair of strings"),
            });
        }

        return merges;
    }

    private static string FindPreTokenizer(string path, JsonNode? node)
    {
        string[] patterns = [.. Patterns(node)];
        foreach (string pattern in patterns)
        {
            foreach ((string part, string name) in PreTokenizers)
            {
                if (pattern.Contains(part, StringComparison.Ordinal))
                {
                    return name;
                }
            }
        }

        // A byte-level step that splits by itself does what GPT-2 did.
        return patterns.Length == 0 && UsesOwnPattern(node)
            ? "gpt-2"
            : throw new ModelFormatException(path, "llama.cpp has no name for the regular expression of this pre-tokenizer");
    }

    private static IEnumerable<string> Patterns(JsonNode? node)
    {
        if (node?["pretokenizers"] is JsonArray parts)
        {
            return parts.SelectMany(Patterns);
        }

        return Text(node?["pattern"]?["Regex"]) is { } pattern ? [pattern] : [];
    }

    private static bool UsesOwnPattern(JsonNode? node) => node?["pretokenizers"] is JsonArray parts
        ? parts.Any(UsesOwnPattern)
        : Text(node?["type"]) == "ByteLevel" && Flag(node!["use_regex"]) != false;

    private static void WriteSpecial(
        GgufMetadata metadata, JsonObject tokenizer, JsonObject settings, Dictionary<string, int> added, ModelConfig config, bool isSentencePiece)
    {
        foreach ((string setting, string key) in new[]
        {
            ("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding"), ("cls", "cls"), ("mask", "mask"),
        })
        {
            JsonNode? named = settings[setting + "_token"];
            string? text = Text(named) ?? Text((named as JsonObject)?["content"]);
            int? id = text is not null && added.TryGetValue(text, out int known) ? known : null;
            id ??= setting switch { "bos" => config.BosId, "eos" when !config.EosIds.IsEmpty => config.EosIds[0], _ => null };
            if (id is int value)
            {
                metadata.Set($"tokenizer.ggml.{key}_token_id", GgufValue.From((uint)value));
            }
        }

        (bool begins, bool ends) = ReadPostProcessor(tokenizer["post_processor"], added);
        metadata.Set("tokenizer.ggml.add_bos_token", GgufValue.From(Flag(settings["add_bos_token"]) ?? begins));
        metadata.Set("tokenizer.ggml.add_eos_token", GgufValue.From(Flag(settings["add_eos_token"]) ?? ends));
        if (isSentencePiece)
        {
            bool prefixes = tokenizer["normalizer"]?.ToJsonString().Contains("\"Prepend\"", StringComparison.Ordinal) == true
                || (tokenizer["pre_tokenizer"]?.ToJsonString() is string pre
                    && pre.Contains("\"Metaspace\"", StringComparison.Ordinal) && !pre.Contains("\"never\"", StringComparison.Ordinal));
            metadata.Set("tokenizer.ggml.add_space_prefix", GgufValue.From(prefixes));
        }
    }

    private static bool? Flag(JsonNode? node) => node?.GetValueKind() switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    /// <summary>Whether a template around single texts begins and ends with special tokens.</summary>
    private static (bool Begins, bool Ends) ReadPostProcessor(JsonNode? node, Dictionary<string, int> added)
    {
        if (node?["processors"] is JsonArray processors)
        {
            return processors.Select(part => ReadPostProcessor(part, added)).FirstOrDefault(found => found.Begins || found.Ends);
        }

        if (Text(node?["type"]) != "TemplateProcessing" || node!["single"] is not JsonArray { Count: > 1 } single)
        {
            return default;
        }

        return (IsToken(single[0]), IsToken(single[^1]));

        bool IsToken(JsonNode? part) => Text(part?["SpecialToken"]?["id"]) is { } id && added.ContainsKey(id);
    }

    private static string? ReadTemplate(string folder, JsonObject settings)
    {
        if (Text(settings["chat_template"]) is string inSettings)
        {
            return inSettings;
        }

        if (settings["chat_template"] is JsonArray named)
        {
            JsonNode? standard = named.FirstOrDefault(entry => Text(entry?["name"]) == "default") ?? named.FirstOrDefault();
            return Text(standard?["template"]);
        }

        string file = Path.Combine(folder, "chat_template.jinja");
        return File.Exists(file) ? File.ReadAllText(file) : Text(ReadObject(Path.Combine(folder, "chat_template.json"))?["chat_template"]);
    }

    /// <summary>The table of tokens while it is filled.</summary>
    private sealed class Tokens(string path, int count, bool isSentencePiece)
    {
        private readonly string?[] _texts = new string?[count];
        private readonly int[] _types = new int[count];
        private readonly float[] _scores = new float[count];
        private readonly Dictionary<string, int> _ids = [];

        public void Set(string text, int id, int type)
        {
            if (id >= count)
            {
                throw new ModelFormatException(path, $"token {id} is beyond the vocabulary of {count} that 'config.json' has");
            }

            _texts[id] = text;
            _types[id] = type;
            _ids[text] = id;
            _scores[id] = type is Control or UserDefined ? -1000 : 0;
        }

        /// <summary>
        /// Scores that make llama.cpp merge in the order of the list: it joins the pair whose result has the highest score.
        /// </summary>
        public void Rank(List<string> merges)
        {
            Array.Fill(_scores, -merges.Count - 1f);
            for (int rank = merges.Count - 1; rank >= 0; rank--)
            {
                // A part may hold the separator only at its beginning, which is where no merge splits.
                int space = merges[rank].IndexOf(' ', 1);
                if (space > 0 && _ids.TryGetValue(string.Concat(merges[rank].AsSpan(0, space), merges[rank].AsSpan(space + 1)), out int id))
                {
                    _scores[id] = -rank;
                }
            }
        }

        public void Write(GgufMetadata metadata)
        {
            for (int id = 0; id < count; id++)
            {
                if (_texts[id] is null)
                {
                    _texts[id] = string.Create(CultureInfo.InvariantCulture, $"[PAD{id}]");
                    _types[id] = Unused;
                    _scores[id] = -10000;
                }
            }

            metadata.SetStrings("tokenizer.ggml.tokens", _texts!);
            if (isSentencePiece)
            {
                metadata.SetArray<float>("tokenizer.ggml.scores", _scores);
            }

            metadata.SetArray<int>("tokenizer.ggml.token_type", _types);
        }
    }
}
