using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KQuant.Models.Templates;

/// <summary>JSON as values of a template: the order of members and the difference between 1 and 1.0 stay.</summary>
internal static class JinjaInput
{
    /// <summary>Converts a value.</summary>
    /// <param name="node">The JSON; null for None.</param>
    /// <param name="isInput">Whether the template must not change it.</param>
    public static object? Convert(JsonNode? node, bool isInput)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (node)
        {
            case null:
                return null;
            case JsonArray array:
                return new JinjaList([.. array.Select(item => Convert(item, isInput))], isInput);
            case JsonObject members:
                var dict = new JinjaDict(isInput);
                foreach ((string name, JsonNode? member) in members)
                {
                    dict[name] = Convert(member, isInput);
                }

                return dict;
        }

        return node.GetValueKind() switch
        {
            JsonValueKind.String => node.GetValue<string>(),
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Number => Number(node.AsValue()),
            _ => null,
        };
    }

    private static object Number(JsonValue value)
    {
        // Of numbers that come from a text the spelling counts; those of a program are of a type.
        if (value.TryGetValue(out JsonElement element))
        {
            string text = element.GetRawText();
            return text.AsSpan().IndexOfAny('.', 'e', 'E') < 0 && text.Length <= 1000
                ? PythonNumbers.Integer(BigInteger.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture))
                : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        }

        return value.TryGetValue(out long integer) ? integer
            : value.TryGetValue(out int small) ? (long)small
            : value.TryGetValue(out double number) ? number
            : double.Parse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture);
    }
}
