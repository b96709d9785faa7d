using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Export;

/// <summary>
/// A <c>tokenizer.json</c> of Hugging Face's tokenizers as far as a GGUF has room for it: vocabulary, merges, added tokens, and the small
/// parts around them as JSON.
/// </summary>
internal sealed class ExportedTokenizer
{
    public const string FileName = "tokenizer.json";

    private const int MaxTokens = BpeReader.MaxTokens;
    private const int MaxMerges = 1 << 23;
    private const int MaxPartLength = 8 << 20;

    private readonly string _path;
    private readonly List<AddedToken> _added = [];
    private readonly List<string> _merges = [];
    private readonly Dictionary<string, JsonNode?> _parts = [];
    private readonly Dictionary<string, string?> _settings = [];

    private ExportedTokenizer(string path) => _path = path;

    /// <summary>The kind of model: <c>BPE</c>, <c>Unigram</c>, <c>WordPiece</c>, <c>WordLevel</c>.</summary>
    public string ModelType => GetSetting("type") ?? (_merges.Count > 0 ? "BPE" : "");

    /// <summary>The vocabulary without added tokens.</summary>
    public Dictionary<string, int> Vocabulary { get; } = [];

    /// <summary>The merges, best first, as a GGUF has them: both parts with a space between, spaces inside of them as U+0120.</summary>
    public IReadOnlyList<string> Merges => _merges;

    /// <summary>The added tokens.</summary>
    public IReadOnlyList<AddedToken> Added => _added;

    /// <summary>Whether characters without a token become tokens of their bytes.</summary>
    public bool HasByteFallback => GetSetting("byte_fallback") == "true";

    /// <summary>Whether a piece that is a token is not merged.</summary>
    public bool IgnoresMerges => GetSetting("ignore_merges") == "true";

    public JsonNode? Normalizer => _parts.GetValueOrDefault("normalizer");

    public JsonNode? PreTokenizer => _parts.GetValueOrDefault("pre_tokenizer");

    public JsonNode? PostProcessor => _parts.GetValueOrDefault("post_processor");

    /// <summary>Reads a file.</summary>
    /// <exception cref="ModelFormatException">The file is too large, no JSON, or something in it is of another kind than it should be.</exception>
    public static ExportedTokenizer Read(string path)
    {
        using MappedFile file = MappedFile.Open(path);
        if (file.Length > Tokenizers.TokenizerJson.MaxBytes)
        {
            throw new ModelFormatException(path, $"the file has {file.Length} bytes; at most {Tokenizers.TokenizerJson.MaxBytes} are read");
        }

        var result = new ExportedTokenizer(path);
        try
        {
            result.ReadRoot(file.UnsafeBytes(0, (int)file.Length));
            return result;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            throw new ModelFormatException(path, $"the file is not valid JSON: {exception.Message}", innerException: exception);
        }
    }

    /// <summary>A setting of the model as JSON writes it, strings without quotes; null when it is absent or null.</summary>
    public string? GetSetting(string name) => _settings.GetValueOrDefault(name);

    private ModelFormatException Bad(string problem, ref readonly Utf8JsonReader json) => new(_path, problem, offset: json.TokenStartIndex);

    private void ReadRoot(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith(Encoding.UTF8.Preamble))
        {
            text = text[Encoding.UTF8.Preamble.Length..];
        }

        var json = new Utf8JsonReader(LenientJson.ToStandard(text));
        json.Read();
        Expect(in json, JsonTokenType.StartObject, "the file");
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            switch (name)
            {
                case "model" when json.TokenType == JsonTokenType.StartObject:
                    ReadModel(ref json);
                    break;
                case "added_tokens" when json.TokenType == JsonTokenType.StartArray:
                    ReadAdded(ref json);
                    break;
                case "normalizer" or "pre_tokenizer" or "post_processor":
                    _parts[name] = ReadPart(ref json);
                    break;
                default:
                    json.Skip();
                    break;
            }
        }

        // What comes behind the object is an error, as in every JSON file.
        while (json.Read())
        {
        }
    }

    private void ReadModel(ref Utf8JsonReader json)
    {
        _settings.Clear();
        Vocabulary.Clear();
        _merges.Clear();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            switch (json.TokenType)
            {
                case JsonTokenType.StartObject when name == "vocab":
                    ReadVocabulary(ref json);
                    break;
                case JsonTokenType.StartArray when name == "merges":
                    ReadMerges(ref json);
                    break;
                case JsonTokenType.String:
                    _settings[name] = json.GetString();
                    break;
                case JsonTokenType.True or JsonTokenType.False or JsonTokenType.Number:
                    _settings[name] = Encoding.UTF8.GetString(json.ValueSpan);
                    break;
                default:
                    json.Skip();
                    break;
            }
        }
    }

    private void ReadVocabulary(ref Utf8JsonReader json)
    {
        Vocabulary.Clear();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string token = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.Number || !json.TryGetInt32(out int id) || id is < 0 or >= MaxTokens)
            {
                throw Bad($"token '{Printable.Shorten(token)}' has no id from 0 to {MaxTokens - 1}", in json);
            }

            Vocabulary[token] = id;
        }
    }

    private void ReadMerges(ref Utf8JsonReader json)
    {
        _merges.Clear();
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (_merges.Count == MaxMerges)
            {
                throw Bad($"there are more than {MaxMerges} merges", in json);
            }

            _merges.Add(json.TokenType == JsonTokenType.StartArray ? ReadPair(ref json) : ReadText(in json, "a merge"));
        }
    }

    private string ReadPair(ref Utf8JsonReader json)
    {
        json.Read();
        string left = ReadText(in json, "the left part of a merge");
        json.Read();
        string right = ReadText(in json, "the right part of a merge");
        json.Read();
        Expect(in json, JsonTokenType.EndArray, "a merge of two parts");
        return $"{left.Replace(' ', '\u0120')} {right.Replace(' ', '\u0120')}";
    }

    private void ReadAdded(ref Utf8JsonReader json)
    {
        _added.Clear();
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            JsonNode? token = ReadPart(ref json);
            if (token is not JsonObject || token["content"].AsString() is not string content || token["id"].AsInteger() is not long id || id is < 0 or >= MaxTokens)
            {
                throw Bad("an added token has no content or no id", in json);
            }

            if (_added.Count == MaxTokens)
            {
                throw Bad($"there are more than {MaxTokens} added tokens", in json);
            }

            _added.Add(new AddedToken((int)id, content) { Special = token["special"].AsBoolean() == true });
        }
    }

    private JsonNode? ReadPart(ref Utf8JsonReader json)
    {
        long start = json.TokenStartIndex;
        Utf8JsonReader end = json;
        end.Skip();
        return end.BytesConsumed - start <= MaxPartLength
            ? LenientJson.Parse(ref json)
            : throw Bad($"a part of the tokenizer is longer than {MaxPartLength} bytes", in json);
    }

    private string ReadText(ref readonly Utf8JsonReader json, string what)
    {
        Expect(in json, JsonTokenType.String, what);
        return json.GetString()!;
    }

    private void Expect(ref readonly Utf8JsonReader json, JsonTokenType type, string what)
    {
        if (json.TokenType != type)
        {
            throw Bad($"{what} is {json.TokenType}, not {type}", in json);
        }
    }
}
