using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Codecs.Files;

/// <summary>
/// What the file layer needs to know of a <c>config.json</c>. Composite (multimodal) configs keep the language model's values in
/// <c>text_config</c>; these win over the root.
/// </summary>
internal sealed class CheckpointConfig(JsonObject root)
{
    private readonly JsonObject? _text = root["text_config"] as JsonObject;

    /// <summary>Whether the language model is one part of several.</summary>
    public bool IsComposite => _text is not null;

    /// <summary>The root's <c>model_type</c>, which names the class that loads the checkpoint.</summary>
    public string? ModelType => root["model_type"] is JsonValue value && value.TryGetValue(out string? type) ? type : null;

    /// <summary>A whole number, or null when the key is absent or something else.</summary>
    public long? GetInteger(params ReadOnlySpan<string> keys)
    {
        foreach (string key in keys)
        {
            if (Find(key) is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out long number))
            {
                return number;
            }
        }

        return null;
    }

    /// <summary>A boolean, or null when the key is absent or something else.</summary>
    public bool? GetBoolean(string key) => Find(key)?.GetValueKind() switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    /// <summary>A number, or null when the key is absent or something else.</summary>
    public double? GetNumber(string key) => Find(key).AsNumber();

    /// <summary>A string, or null when the key is absent or something else.</summary>
    public string? GetString(string key) => Find(key).AsString();

    /// <summary>An object, or null when the key is absent or something else.</summary>
    public JsonObject? GetObject(string key) => Find(key) as JsonObject;

    /// <summary>An array, or null when the key is absent or something else.</summary>
    public JsonArray? GetArray(string key) => Find(key) as JsonArray;

    /// <summary>Whether the key is there, be it with the value null.</summary>
    public bool Contains(string key) => _text?.ContainsKey(key) == true || root.ContainsKey(key);

    private JsonNode? Find(string key) => _text is not null && _text.TryGetPropertyValue(key, out JsonNode? value) ? value : root[key];
}
