using System.Text;
using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Takes a token of a vocabulary.</summary>
/// <param name="id">Its id.</param>
/// <param name="text">Its text.</param>
/// <param name="score">Its score, in a Unigram model.</param>
/// <returns>False if another token has this id.</returns>
internal delegate bool TokenSink(int id, ReadOnlySpan<byte> text, double score);

/// <summary>Takes a merge.</summary>
/// <param name="left">What is joined.</param>
/// <param name="right">What it is joined with.</param>
/// <returns>What is wrong with it, for an error behind its name; null if nothing is.</returns>
internal delegate string? MergeSink(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right);

/// <summary>
/// Hugging Face's <c>tokenizer.json</c>, for whoever needs something from it: the small sections as JSON with their places; vocabulary and
/// merges, which are millions of values, as they are read.
/// </summary>
internal sealed class TokenizerFile
{
    public const string Name = "tokenizer.json";

    /// <summary>The largest files known have some 35 MB.</summary>
    public const int MaxBytes = 256 << 20;

    /// <summary>The largest vocabularies known have some 260 000 tokens.</summary>
    public const int MaxTokens = 1 << 21;

    private const int MaxMerges = 1 << 23;
    private const string Unigram = "Unigram";

    private readonly ReadOnlyMemory<byte> _text;
    private readonly Dictionary<string, JsonElement> _sections = [];
    private readonly Dictionary<string, int> _large = [];

    private TokenizerFile(string path, ReadOnlyMemory<byte> text) => (Path, _text) = (path, text);

    /// <summary>The path of the file.</summary>
    public string Path { get; }

    /// <summary>The section <c>model</c> without vocabulary and merges.</summary>
    public JsonPlace Model => Section("model");

    /// <summary>The kind of model: <c>BPE</c>, which old files do not name, <c>Unigram</c>, <c>WordPiece</c>, <c>WordLevel</c>.</summary>
    public string ModelType => Model["type"].IsNull ? "BPE" : Model["type"].AsText();

    /// <summary>Reads a file as far as its sections.</summary>
    /// <exception cref="ModelFormatException">The file is too large, no JSON, or has no model.</exception>
    public static TokenizerFile Read(string path)
    {
        ReadOnlyMemory<byte> text = WholeFile.ReadUtf8(path, MaxBytes);
        ReadOnlySpan<byte> standard = LenientJson.ToStandard(text.Span);
        return WhileJson(path, standard == text.Span ? text : standard.ToArray(), static (path, text) =>
        {
            var file = new TokenizerFile(path, text);
            file.ReadSections();
            return file.Model.IsNull ? throw file.Model.Mismatch("an object") : file;
        });
    }

    /// <summary>Does something with JSON, and tells errors in it apart from others.</summary>
    /// <exception cref="ModelFormatException">What is read is no JSON.</exception>
    public static TResult WhileJson<TState, TResult>(string path, TState state, Func<string, TState, TResult> read)
    {
        try
        {
            return read(path, state);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The reader throws InvalidOperationException for half of a surrogate pair.
            throw new ModelFormatException(path, $"the file is not valid JSON: {exception.Message}", innerException: exception);
        }
    }

    /// <summary>A section of the file; it may be missing.</summary>
    public JsonPlace Section(string name) => new(Path, name, _sections.GetValueOrDefault(name));

    /// <summary>The vocabulary, without added tokens, in the order of the file.</summary>
    /// <exception cref="ModelFormatException">It is missing, empty or not well-formed.</exception>
    public void ReadVocabulary(TokenSink sink)
    {
        bool isUnigram = ModelType == Unigram;
        Utf8JsonReader json = Large("vocab", isUnigram ? JsonTokenType.StartArray : JsonTokenType.StartObject, isUnigram ? "array" : "object", out int start);
        int count = isUnigram ? ReadScored(ref json, start, sink) : ReadObject(ref json, start, sink);
        if (count == 0)
        {
            throw new ModelFormatException(Path, "model.vocab is empty", offset: start);
        }
    }

    /// <summary>The merges, best first.</summary>
    /// <exception cref="ModelFormatException">They are missing, or one is not well-formed.</exception>
    public void ReadMerges(MergeSink sink)
    {
        Utf8JsonReader json = Large("merges", JsonTokenType.StartArray, "array", out int start);
        using ByteBuffer scratch = new(), pair = new();
        for (int count = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; count++)
        {
            long place = start + json.TokenStartIndex;
            int cut = ReadPair(ref json, pair, scratch);
            string? problem = count >= MaxMerges ? $"is one of more than {MaxMerges}"
                : cut <= 0 || cut == pair.Length ? "is no pair of tokens"
                : sink(pair.Bytes[..cut], pair.Bytes[cut..]);
            if (problem is not null)
            {
                throw new ModelFormatException(Path, $"model.merges[{count}] {problem}", offset: place);
            }
        }
    }

    private static ReadOnlySpan<byte> Text(ref Utf8JsonReader json, ByteBuffer scratch)
    {
        if (!json.ValueIsEscaped)
        {
            return json.ValueSpan;
        }

        scratch.Clear();
        scratch.Advance(json.CopyString(scratch.Reserve(json.ValueSpan.Length)));
        return scratch.Bytes;
    }

    /// <summary>Reads a merge: two texts in an array, or one with a space between.</summary>
    /// <returns>Where the second begins in what was read; -1 if it is no merge.</returns>
    private static int ReadPair(ref Utf8JsonReader json, ByteBuffer pair, ByteBuffer scratch)
    {
        pair.Clear();
        int cut = -1;
        if (json.TokenType == JsonTokenType.StartArray)
        {
            int halves = 0;
            for (; json.Read() && json.TokenType == JsonTokenType.String; halves++)
            {
                cut = halves == 1 ? pair.Length : cut;
                pair.Add(Text(ref json, scratch));
            }

            return halves == 2 && json.TokenType == JsonTokenType.EndArray ? cut : -1;
        }

        if (json.TokenType == JsonTokenType.String)
        {
            ReadOnlySpan<byte> halves = Text(ref json, scratch);
            cut = halves.IndexOf((byte)' ');
            if (cut <= 0 || halves.LastIndexOf((byte)' ') != cut)
            {
                return -1;
            }

            pair.Add(halves[..cut]);
            pair.Add(halves[(cut + 1)..]);
        }

        return cut;
    }

    private Utf8JsonReader Large(string name, JsonTokenType type, string kind, out int start)
    {
        if (!_large.TryGetValue(name, out start))
        {
            throw new ModelFormatException(Path, $"model.{name} is missing");
        }

        var json = new Utf8JsonReader(_text.Span[start..]);
        json.Read();
        return json.TokenType == type ? json : throw new ModelFormatException(Path, $"model.{name} is no {kind}", offset: start);
    }

    private int ReadObject(ref Utf8JsonReader json, int start, TokenSink sink)
    {
        using var scratch = new ByteBuffer();
        int count = 0;
        for (; json.Read() && json.TokenType == JsonTokenType.PropertyName; count++)
        {
            ReadOnlySpan<byte> token = Text(ref json, scratch);
            long place = start + json.TokenStartIndex;
            json.Read();
            if (json.TokenType != JsonTokenType.Number || !json.TryGetInt32(out int id) || id is < 0 or >= MaxTokens)
            {
                throw new ModelFormatException(
                    Path, $"the id of '{Printable.Shorten(token)}' in model.vocab is no whole number from 0 to {MaxTokens - 1}", offset: place);
            }

            if (!sink(id, token, 0))
            {
                throw new ModelFormatException(Path, $"'{Printable.Shorten(token)}' in model.vocab has the id {id} of another token", offset: place);
            }
        }

        return count;
    }

    /// <summary>The vocabulary of a Unigram model: a list of pieces with their scores, whose places are the ids.</summary>
    private int ReadScored(ref Utf8JsonReader json, int start, TokenSink sink)
    {
        int count = 0;
        for (; json.Read() && json.TokenType == JsonTokenType.StartArray; count++)
        {
            long place = start + json.TokenStartIndex;
            json.Read();
            string? piece = json.TokenType == JsonTokenType.String ? json.GetString() : null;
            json.Read();
            bool isWell = json.TokenType == JsonTokenType.Number && json.TryGetDouble(out double score) && double.IsFinite(score) && piece is not null;
            score = isWell ? json.GetDouble() : 0;
            json.Read();
            byte[] bytes = Encoding.UTF8.GetBytes(piece ?? "");
            if (!isWell || json.TokenType != JsonTokenType.EndArray || bytes.Length > AddedTokenCutter.MaxTokenBytes || count >= MaxTokens)
            {
                throw new ModelFormatException(
                    Path,
                    $"model.vocab[{count}] is no text of at most {AddedTokenCutter.MaxTokenBytes} bytes with a score, or one of more than {MaxTokens}",
                    offset: place);
            }

            sink(count, bytes, score);
        }

        return json.TokenType == JsonTokenType.EndArray ? count : throw new ModelFormatException(Path, "model.vocab is no list of pairs", offset: start);
    }

    private void ReadSections()
    {
        var json = new Utf8JsonReader(_text.Span);
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new ModelFormatException(Path, "the file holds no JSON object");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            _sections[name] = name == "model" && json.TokenType == JsonTokenType.StartObject ? ReadModel(ref json) : JsonElement.ParseValue(ref json);
        }

        // What comes behind the object is an error, as in every JSON file.
        json.Read();
    }

    /// <summary>The model as an element, but for vocabulary and merges, of which only the places are found.</summary>
    private JsonElement ReadModel(ref Utf8JsonReader json)
    {
        _large.Clear();
        using var small = new MemoryStream();
        using var writer = new Utf8JsonWriter(small);
        writer.WriteStartObject();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            if (name is "vocab" or "merges")
            {
                _large[name] = checked((int)json.TokenStartIndex);
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
