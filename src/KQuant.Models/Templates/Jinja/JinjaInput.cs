using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>JSON as values of a template: the order of members and the difference between 1 and 1.0 stay.</summary>
internal static class JinjaInput
{
    /// <summary>Converts a value.</summary>
    /// <param name="node">The JSON; null for None.</param>
    /// <param name="isInput">Whether the template must not change it.</param>
    /// <param name="marks">What replaces characters of texts; null for nothing.</param>
    public static object? Convert(JsonNode? node, bool isInput, ContentMarks? marks = null)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (node)
        {
            case null:
                return null;
            case JsonArray array:
                return new JinjaList([.. array.Select(item => Convert(item, isInput, marks))], isInput);
            case JsonObject members:
                var dict = new JinjaDict(isInput);
                foreach ((string name, JsonNode? member) in members)
                {
                    dict[Marked(name, marks)] = Convert(member, isInput, marks);
                }

                return dict;
        }

        return node.GetValueKind() switch
        {
            JsonValueKind.String => Marked(node.GetValue<string>(), marks),
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Number => Number(node.AsValue()),
            _ => null,
        };
    }

    /// <summary>Converts a value that becomes the template's own; of equal names the last counts.</summary>
    public static object? Convert(JsonElement element)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (element.ValueKind)
        {
            case JsonValueKind.Array:
                return new JinjaList([.. element.EnumerateArray().Select(Convert)]);
            case JsonValueKind.Object:
                var dict = new JinjaDict();
                foreach (JsonProperty member in element.EnumerateObject())
                {
                    dict[member.Name] = Convert(member.Value);
                }

                return dict;
            case JsonValueKind.String: return element.GetString();
            case JsonValueKind.Number: return Number(element.GetRawText());
            case JsonValueKind.True: return true;
            case JsonValueKind.False: return false;
            default: return null;
        }
    }

    /// <summary>A text with characters replaced.</summary>
    public static string Marked(string text, ContentMarks? marks) => marks is null ? text : marks.Mark(text);

    private static object Number(JsonValue value)
    {
        // Of numbers that come from a text the spelling counts; those of a program are of a type.
        if (value.TryGetValue(out JsonElement element))
        {
            return Number(element.GetRawText());
        }

        return value.TryGetValue(out long integer) ? integer
            : value.TryGetValue(out int small) ? (long)small
            : value.TryGetValue(out double number) ? number
            : double.Parse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture);
    }

    private static object Number(string text) => text.AsSpan().IndexOfAny('.', 'e', 'E') < 0 && text.Length <= 1000
        ? PythonNumbers.Integer(BigInteger.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture))
        : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
}
