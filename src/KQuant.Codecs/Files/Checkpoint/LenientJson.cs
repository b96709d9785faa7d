using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Codecs.Files;

/// <summary>
/// JSON as Python's <c>json</c> module reads and writes it: numbers may be <c>Infinity</c>, <c>-Infinity</c> and <c>NaN</c>, and of a key
/// that occurs twice the last value counts, in the place of the first.
/// </summary>
/// <remarks>
/// In memory the three words are numbers too large for any type, which are infinite when they are read as one and are written as the words
/// again. A number of that size in a file is the same to Python.
/// </remarks>
internal static class LenientJson
{
    private static readonly (byte[] Word, byte[] Number)[] Words =
    [
        ("-Infinity"u8.ToArray(), "-1e999999"u8.ToArray()),
        ("Infinity"u8.ToArray(), "1e999999"u8.ToArray()),
        ("NaN"u8.ToArray(), "9e999999"u8.ToArray()),
    ];

    /// <summary>The same text with the words replaced; the text itself if it has none.</summary>
    public static ReadOnlySpan<byte> ToStandard(ReadOnlySpan<byte> text)
    {
        if (!MayHaveWords(text, "Infinity"u8) && !MayHaveWords(text, "NaN"u8))
        {
            return text;
        }

        var result = new List<byte>(text.Length + 64);
        for (int at = 0; at < text.Length;)
        {
            int length = text[at] == '"' ? StringLength(text[at..]) : 1;
            ReadOnlySpan<byte> piece = text.Slice(at, length);
            foreach ((byte[] word, byte[] number) in Words)
            {
                if (text[at] == word[0] && text[at..].StartsWith(word))
                {
                    length = word.Length;
                    piece = number;
                    break;
                }
            }

            result.AddRange(piece);
            at += length;
        }

        return result.ToArray();
    }

    /// <summary>A value as nodes that share one copy of the text.</summary>
    /// <exception cref="JsonException">The text is no JSON, or nested more than 64 deep.</exception>
    public static JsonNode? Parse(ReadOnlySpan<byte> text) => ToNode(JsonElement.Parse(ToStandard(text)));

    /// <summary>The value in front of a reader of standardized text, as nodes.</summary>
    public static JsonNode? Parse(ref Utf8JsonReader json) => ToNode(JsonElement.ParseValue(ref json));

    /// <summary>Writes a value as <see cref="JsonNode.WriteTo"/> does, with the words of Python.</summary>
    public static void Write(Utf8JsonWriter json, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject members:
                json.WriteStartObject();
                foreach ((string name, JsonNode? value) in members)
                {
                    json.WritePropertyName(name);
                    Write(json, value);
                }

                json.WriteEndObject();
                break;
            case JsonArray items:
                json.WriteStartArray();
                foreach (JsonNode? item in items)
                {
                    Write(json, item);
                }

                json.WriteEndArray();
                break;
            case JsonValue value when FindWord(value) is byte[] word:
                json.WriteRawValue(word, skipInputValidation: true);
                break;
            case null:
                json.WriteNullValue();
                break;
            default:
                node.WriteTo(json);
                break;
        }
    }

    private static byte[]? FindWord(JsonValue value)
    {
        if (value.GetValueKind() != JsonValueKind.Number || !value.TryGetValue(out JsonElement element))
        {
            return null;
        }

        string spelling = element.GetRawText();
        return Array.Find(Words, pair => pair.Number.AsSpan().SequenceEqual(System.Text.Encoding.ASCII.GetBytes(spelling))).Word;
    }

    /// <summary>Whether a word stands somewhere without quotes or letters beside it: not many texts need a closer look.</summary>
    private static bool MayHaveWords(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word)
    {
        int from = 0;
        for (int at = text.IndexOf(word); at >= 0; at = text[from..].IndexOf(word))
        {
            at += from;
            if ((at == 0 || " \t\r\n:,[-"u8.Contains(text[at - 1])) && (at + word.Length == text.Length || " \t\r\n,]}"u8.Contains(text[at + word.Length])))
            {
                return true;
            }

            from = at + word.Length;
        }

        return false;
    }

    /// <summary>Bytes of a string with its quotes, or of the rest if it does not end.</summary>
    private static int StringLength(ReadOnlySpan<byte> text)
    {
        for (int at = 1; at < text.Length; at++)
        {
            if (text[at] == '\\')
            {
                at++;
            }
            else if (text[at] == '"')
            {
                return at + 1;
            }
        }

        return text.Length;
    }

    private static JsonNode? ToNode(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var members = new JsonObject();
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    members[property.Name] = ToNode(property.Value);
                }

                return members;
            case JsonValueKind.Array:
                var items = new JsonArray();
                foreach (JsonElement item in element.EnumerateArray())
                {
                    items.Add(ToNode(item));
                }

                return items;
            default:
                return JsonValue.Create(element);
        }
    }
}
