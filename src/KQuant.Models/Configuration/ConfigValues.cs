using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Configuration;

/// <summary>
/// Typed access to the values of a <c>config.json</c>. Composite configs keep the language model's under <c>text_config</c>; these win. A
/// key that is absent and one that is null are different things: the first stands for the family's default.
/// </summary>
internal sealed class ConfigValues(string path, JsonObject root)
{
    private readonly JsonObject? _text = root["text_config"] as JsonObject;

    public string Path => path;

    /// <summary>Whether a key is there, with null or a value.</summary>
    public bool Contains(string key) => (_text?.ContainsKey(key) ?? false) || root.ContainsKey(key);

    public JsonNode? Get(string key) => _text is not null && _text.TryGetPropertyValue(key, out JsonNode? value) ? value : root[key];

    /// <summary>An object, or null.</summary>
    public JsonObject? GetObject(string key) => ToObject(key, Get(key));

    /// <summary>A positive whole number that must be there.</summary>
    public int Require(string key) => GetCount(key, 0);

    /// <summary>A positive whole number, or the fallback when it is absent or null; it must be there when that is 0.</summary>
    public int GetCount(string key, int fallback) => GetCount(key)
        ?? (fallback > 0 ? fallback : throw new ModelFormatException(path, $"the required key '{key}' is missing"));

    /// <summary>A positive whole number, or null when it is absent or null.</summary>
    public int? GetCount(string key) => ToCount(key, Get(key));

    /// <summary>A number, or the fallback when it is absent or null.</summary>
    public float GetNumber(string key, float fallback) => ToNumber(key, Get(key)) ?? fallback;

    /// <summary>A boolean, or the fallback when it is absent or null.</summary>
    public bool GetFlag(string key, bool fallback) => ToFlag(key, Get(key)) ?? fallback;

    /// <summary>A string, or null.</summary>
    public string? GetText(string key) => ToText(key, Get(key));

    /// <summary>One id or several; empty when absent.</summary>
    public ImmutableArray<int> GetIds(string key) => Get(key) switch
    {
        null => [],
        JsonArray array => [.. array.Select(item => ToId(key, item))],
        JsonNode single => [ToId(key, single)],
    };

    /// <summary>A list of strings, or null.</summary>
    public string[]? GetTexts(string key) => Get(key) switch
    {
        null => null,
        JsonArray array => [.. array.Select(item => item is JsonValue value && value.TryGetValue(out string? text)
            ? text
            : throw Wrong(key, item, "a list of strings"))],
        JsonNode other => throw Wrong(key, other, "a list"),
    };

    public JsonObject? ToObject(string key, JsonNode? node) => node switch
    {
        null => null,
        JsonObject value => value,
        _ => throw Wrong(key, node, "an object"),
    };

    public string? ToText(string key, JsonNode? node) => node switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out string? text) => text,
        _ => throw Wrong(key, node, "a string"),
    };

    public bool? ToFlag(string key, JsonNode? node) => node switch
    {
        null => null,
        JsonValue value when value.GetValueKind() is JsonValueKind.True or JsonValueKind.False => value.GetValue<bool>(),
        _ => throw Wrong(key, node, "true or false"),
    };

    public int? ToCount(string key, JsonNode? node)
    {
        if (node is null)
        {
            return null;
        }

        return TryGetNumber(node, out double value) && value >= 1 && value <= int.MaxValue && value == Math.Floor(value)
            ? (int)value
            : throw Wrong(key, node, "a whole number above 0");
    }

    public float? ToNumber(string key, JsonNode? node)
    {
        if (node is null)
        {
            return null;
        }

        return TryGetNumber(node, out double value) && double.IsFinite((float)value) ? (float)value : throw Wrong(key, node, "a number");
    }

    public ImmutableArray<float> ToNumbers(string key, JsonNode? node) => node is JsonArray array
        ? [.. array.Select(item => ToNumber(key, item) ?? throw Wrong(key, item, "a list of numbers"))]
        : throw Wrong(key, node, "a list of numbers");

    public ModelFormatException Wrong(string key, JsonNode? value, string expected) =>
        new(path, $"'{key}' is {Printable.Shorten(value?.ToJsonString() ?? "null")} and should be {expected}");

    public ModelFormatException Unsupported(string key, string? value, string known) =>
        new(path, $"'{key}' is '{Printable.Shorten(value ?? "null")}', which is not supported; known are {known}");

    private static bool TryGetNumber([NotNullWhen(true)] JsonNode? node, out double value)
    {
        value = 0;
        return node is JsonValue number && number.GetValueKind() == JsonValueKind.Number && number.TryGetValue(out value);
    }

    private int ToId(string key, JsonNode? node) =>
        TryGetNumber(node, out double value) && value >= 0 && value <= int.MaxValue && value == Math.Floor(value)
            ? (int)value
            : throw Wrong(key, node, "a token id");
}
