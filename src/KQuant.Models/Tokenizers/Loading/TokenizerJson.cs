using System.Text.Json;
using System.Text.Unicode;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads Hugging Face's <c>tokenizer.json</c>.</summary>
internal static class TokenizerJson
{
    /// <summary>The largest files known have some 35 MB.</summary>
    public const long MaxBytes = 256L << 20;

    /// <exception cref="ModelFormatException">The file is not well-formed or needs what is not known here.</exception>
    public static TokenizerParts Load(string path)
    {
        FileKinds.CheckReadable(path);
        long length = new FileInfo(path).Length;
        if (length > MaxBytes)
        {
            throw new ModelFormatException(path, $"the file has {length} bytes; at most {MaxBytes} are read");
        }

        ReadOnlyMemory<byte> text = File.ReadAllBytes(path);
        text = text.Span.StartsWith("\uFEFF"u8) ? text[3..] : text;
        if (!Utf8.IsValid(text.Span))
        {
            throw new ModelFormatException(path, "the file is not valid UTF-8");
        }

        try
        {
            return Build(path, LenientJson.ToStandard(text.Span));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The reader throws InvalidOperationException for half of a surrogate pair.
            throw new ModelFormatException(path, $"the file is not valid JSON: {exception.Message}", innerException: exception);
        }
    }

    private static TokenizerParts Build(string path, ReadOnlySpan<byte> text)
    {
        Dictionary<string, JsonElement> sections = Sections(path, text, out Dictionary<string, int> large);
        JsonPlace Section(string name) => new(path, name, sections.GetValueOrDefault(name));
        JsonPlace model = Section("model");
        if (model.IsNull)
        {
            throw model.Mismatch("an object");
        }

        var components = new TokenizerComponents();
        components.AddNormalizers(Section("normalizer"));
        string kind = model["type"].IsNull ? "BPE" : model["type"].AsText();
        if (kind is not ("BPE" or "WordPiece" or "Unigram"))
        {
            throw model["type"].Error($"is '{Printable.Shorten(kind)}', which is not supported; BPE, WordPiece and Unigram are");
        }

        components.AddPreTokenizers(Section("pre_tokenizer"), keepsSpelling: kind != "BPE" || BpeReader.HasAffixes(model));
        components.AddDecoders(Section("decoder"));
        BpeReader? reader = kind == "BPE" ? new BpeReader(path, model, components.IsByteLevel) : null;
        using var spellings = new TokenTable.Builder();
        int vocabulary = large.GetValueOrDefault("vocab", -1);
        double[] scores = kind == "Unigram" ? OtherModels.ReadScores(path, text, vocabulary, spellings) : [];
        if (kind != "Unigram")
        {
            BpeReader.ReadVocabulary(path, text, vocabulary, spellings);
        }

        int modelTokens = spellings.Count;
        AddedToken[] added = AddedTokens.Read(Section("added_tokens"), spellings);
        TokenTable tokens = spellings.Build();
        if (tokens.Duplicate is (int first, int second))
        {
            throw new ModelFormatException(path, $"model.vocab has '{Printable.Shorten(tokens[first])}' twice, as {first} and as {second}");
        }

        added = AddedTokens.Normalize(added, components.Normalizers);
        TokenModel pieces = reader is not null ? reader.ReadModel(text, large.GetValueOrDefault("merges", -1), tokens, modelTokens)
            : kind == "Unigram" ? OtherModels.ReadUnigram(model, tokens, scores)
            : OtherModels.ReadWordPiece(model, tokens);
        (int[] prefix, int[] suffix) = PostProcessor.Read(Section("post_processor"), tokens);
        var special = new SpecialTokens(path, tokens);
        return new TokenizerParts
        {
            Spellings = tokens,
            Pieces = components.MakePieces(tokens, added),
            Model = pieces,
            Added = added,
            Normalizers = [.. components.Normalizers],
            Steps = [.. components.Steps],
            Prefix = prefix,
            Suffix = suffix,
            BosId = special.Bos ?? (prefix.Length > 0 ? prefix[0] : null),
            EosIds = special.Eos,
            PadId = special.Pad,
            UnknownId = special.Unknown ?? reader?.UnknownId(tokens) ?? (kind == "Unigram" ? (int?)model["unk_id"].AsNumber(0, scores.Length - 1) : null),
        };
    }

    /// <summary>
    /// The sections as elements, but for the vocabulary and the merges: those are millions of values, and only their places are found.
    /// </summary>
    private static Dictionary<string, JsonElement> Sections(string path, ReadOnlySpan<byte> text, out Dictionary<string, int> large)
    {
        var sections = new Dictionary<string, JsonElement>();
        large = [];
        var json = new Utf8JsonReader(text);
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new ModelFormatException(path, "the file holds no JSON object");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            JsonElement section = name == "model" && json.TokenType == JsonTokenType.StartObject
                ? Model(ref json, large)
                : JsonElement.ParseValue(ref json);
            sections[name] = section;
        }

        json.Read();
        return sections;
    }

    private static JsonElement Model(ref Utf8JsonReader json, Dictionary<string, int> large)
    {
        large.Clear();
        using var small = new MemoryStream();
        using var writer = new Utf8JsonWriter(small);
        writer.WriteStartObject();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            if (name is "vocab" or "merges")
            {
                large[name] = checked((int)json.TokenStartIndex);
                json.Skip();
                continue;
            }

            writer.WritePropertyName(name);
            JsonElement.ParseValue(ref json).WriteTo(writer);
        }

        writer.WriteEndObject();
        writer.Flush();
        var copy = new Utf8JsonReader(small.GetBuffer().AsSpan(0, (int)small.Length));
        return JsonElement.ParseValue(ref copy);
    }
}
