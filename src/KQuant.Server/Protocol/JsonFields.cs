using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using static System.FormattableString;

namespace KQuant.Server.Protocol;

/// <summary>
/// The fields of an object in the body of a request. A field that is null is not there; one of another type or out of its range is refused
/// with its path and its value. Fields that nobody asks for are ignored.
/// </summary>
internal readonly struct JsonFields
{
    private const int LongestQuote = 60;

    private readonly JsonElement _object;
    private readonly string _path;

    /// <param name="element">The object.</param>
    /// <param name="path">Where it stands; empty for the body itself.</param>
    /// <exception cref="ApiException">It is no object.</exception>
    public JsonFields(JsonElement element, string path = "")
    {
        (_object, _path) = (element, path);
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw ApiException.Wrong(path, $"{(path.Length == 0 ? "The body" : $"'{path}'")} is {Quote(element)}; it should be an object.");
        }
    }

    /// <summary>All fields that are there.</summary>
    public IEnumerable<JsonProperty> All => _object.EnumerateObject().Where(member => member.Value.ValueKind != JsonValueKind.Null);

    /// <summary>Where a field stands.</summary>
    public string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    /// <summary>A field of any type.</summary>
    /// <returns>False when it is not there, or null.</returns>
    public bool TryGet(string name, out JsonElement value) => _object.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>A text; null if it is not there.</summary>
    public string? Text(string name) => TryGet(name, out JsonElement value) ? Text(value, PathOf(name)) : null;

    /// <summary>A whole number; null if it is not there.</summary>
    public int? Integer(string name, int least, int most = int.MaxValue)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        return Whole(value) is { } number && number >= least && number <= most
            ? (int)number
            : throw Wrong(name, value, most == int.MaxValue ? Invariant($"a whole number from {least} on") : Invariant($"a whole number from {least} to {most}"));
    }

    /// <summary>Any whole number of 64 bits; null if it is not there.</summary>
    public long? Long(string name) => !TryGet(name, out JsonElement value) ? null
        : Whole(value) ?? throw Wrong(name, value, "a whole number of at most 64 bits");

    /// <summary>A number; null if it is not there.</summary>
    public float? Number(string name, float least, float most)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= least && number <= most
            ? (float)number
            : throw Wrong(name, value, Invariant($"a number from {least} to {most}"));
    }

    /// <summary>Yes or no; null if it is not there.</summary>
    public bool? Flag(string name) => !TryGet(name, out JsonElement value) ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
        : throw Wrong(name, value, "true or false");

    /// <summary>An object; null if it is not there.</summary>
    public JsonFields? Object(string name) => TryGet(name, out JsonElement value) ? new JsonFields(value, PathOf(name)) : null;

    /// <summary>The items of a list and where they stand; null if it is not there.</summary>
    public IEnumerable<(JsonElement Item, string Path)>? List(string name)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        string path = PathOf(name);
        return value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray().Select((item, i) => (item, Invariant($"{path}[{i}]")))
            : throw Wrong(name, value, "a list");
    }

    /// <summary>A text or a list of texts; none if it is not there.</summary>
    public string[] Texts(string name, int most)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return [Text(value, PathOf(name))];
        }

        string[] texts = [.. List(name)!.Select(item => Text(item.Item, item.Path))];
        return texts.Length <= most ? texts : throw ApiException.Wrong(PathOf(name), Invariant($"'{PathOf(name)}' has {texts.Length} texts; at most {most} are taken."));
    }

    /// <summary>A copy of a field that outlives the body; null if it is not there.</summary>
    public JsonNode? Node(string name) => TryGet(name, out JsonElement value) ? ToNode(value, PathOf(name)) : null;

    /// <summary>A copy of an object that outlives the body; null if it is not there.</summary>
    public JsonObject? NodeObject(string name) => Object(name) is null ? null : (JsonObject)Node(name)!;

    /// <summary>One of some words; null if it is not there.</summary>
    public string? Choice(string name, params ReadOnlySpan<string> choices)
    {
        string? text = Text(name);
        return text is null || choices.Contains(text) ? text
            : throw ApiException.Wrong(PathOf(name), $"'{PathOf(name)}' is '{Shorten(text)}'; it is one of {string.Join(", ", choices.ToArray().Select(choice => $"'{choice}'"))}.");
    }

    /// <summary>A value of another type, or out of its range.</summary>
    public ApiException Wrong(string name, JsonElement value, string expected) =>
        ApiException.Wrong(PathOf(name), $"'{PathOf(name)}' is {Quote(value)}; it should be {expected}.");

    /// <summary>A field is missing.</summary>
    public ApiException Missing(string name) => ApiException.Wrong(PathOf(name), $"'{PathOf(name)}' is missing.");

    /// <summary>The text of a value.</summary>
    /// <exception cref="ApiException">It is none, or has half of a surrogate pair.</exception>
    public static string Text(JsonElement value, string path)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString()!
                : throw ApiException.Wrong(path, $"'{path}' is {Quote(value)}; it should be a text.");
        }
        catch (InvalidOperationException)
        {
            throw ApiException.Wrong(path, $"'{path}' has half of a surrogate pair, which is no text.");
        }
    }

    /// <summary>A copy that outlives the body.</summary>
    public static JsonNode ToNode(JsonElement value, string path)
    {
        Check(value, path);
        return JsonNode.Parse(value.GetRawText())!;
    }

    /// <summary>Whether a number is whole, also when it is written as <c>1e3</c> or <c>1.0</c>.</summary>
    private static long? Whole(JsonElement value) =>
        value.ValueKind != JsonValueKind.Number ? null
        : value.TryGetInt64(out long number) ? number
        : value.TryGetDecimal(out decimal exact) && exact == decimal.Truncate(exact) && exact is >= long.MinValue and <= long.MaxValue ? (long)exact
        : null;

    /// <summary>Finds names and texts that are no texts: whoever reads the copy may not.</summary>
    private static void Check(JsonElement value, string path)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                Text(value, path);
                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in value.EnumerateArray())
                {
                    Check(item, path);
                }

                break;
            case JsonValueKind.Object:
                foreach (JsonProperty member in value.EnumerateObject())
                {
                    try
                    {
                        _ = member.Name;
                    }
                    catch (InvalidOperationException)
                    {
                        throw ApiException.Wrong(path, $"'{path}' has a name with half of a surrogate pair, which is no text.");
                    }

                    Check(member.Value, path);
                }

                break;
        }
    }

    private static string Quote(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        _ => Shorten(value.GetRawText()),
    };

    private static string Shorten(string text) => text.Length <= LongestQuote ? text : string.Create(CultureInfo.InvariantCulture, $"{text.AsSpan(0, LongestQuote)}...");
}
