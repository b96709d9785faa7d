using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>A value of a JSON file with its place, for errors that name both.</summary>
/// <param name="File">The file.</param>
/// <param name="Place">Such as <c>pre_tokenizer.pretokenizers[1]</c>.</param>
/// <param name="Value">The value.</param>
internal readonly record struct JsonPlace(string File, string Place, JsonElement Value)
{
    public bool IsNull => Value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    /// <summary>The value of <c>type</c>.</summary>
    public string Type => this["type"].AsText();

    /// <summary>A member; its value is undefined if it is missing.</summary>
    public JsonPlace this[string name]
    {
        get
        {
            if (Value.ValueKind != JsonValueKind.Object)
            {
                throw Error("is no object");
            }

            Value.TryGetProperty(name, out JsonElement member);
            return new JsonPlace(File, Place.Length == 0 ? name : $"{Place}.{name}", member);
        }
    }

    public ModelFormatException Error(string problem) => new(File, $"{Place} {problem}");

    public ModelFormatException Mismatch(string expected) =>
        Error(Value.ValueKind == JsonValueKind.Undefined ? "is missing" : $"should be {expected} but is {Printable.Shorten(Value.GetRawText())}");

    public string AsText() => Value.ValueKind == JsonValueKind.String ? Value.GetString()! : throw Mismatch("a text");

    public bool AsFlag(bool standard) => Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null or JsonValueKind.Undefined => standard,
        _ => throw Mismatch("true or false"),
    };

    public int AsNumber(int least, int most) =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out int number) && number >= least && number <= most
            ? number
            : throw Mismatch($"a whole number from {least} to {most}");

    public IEnumerable<JsonPlace> Elements()
    {
        if (Value.ValueKind != JsonValueKind.Array)
        {
            throw Mismatch("an array");
        }

        (string file, string place) = (File, Place);
        return Value.EnumerateArray().Select((element, i) => new JsonPlace(file, $"{place}[{i}]", element));
    }
}
