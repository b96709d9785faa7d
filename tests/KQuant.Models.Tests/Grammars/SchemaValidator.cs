using System.Text.Json;
using System.Text.RegularExpressions;

namespace KQuant.Models.Tests.Grammars;

/// <summary>Whether a JSON value fits a schema: written from the specification, and from nothing that makes grammars.</summary>
internal sealed class SchemaValidator(JsonElement root)
{
    /// <summary>Why a value does not fit; null if it does.</summary>
    public string? Check(JsonElement value) => Check(root, value, "$");

    private string? Check(JsonElement schema, JsonElement value, string path)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return schema.ValueKind == JsonValueKind.True ? null : $"{path}: nothing fits";
        }

        if (schema.TryGetProperty("nullable", out JsonElement nullable) && nullable.GetBoolean() && value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        foreach (JsonProperty rule in schema.EnumerateObject())
        {
            if (Check(schema, rule.Name, rule.Value, value, path) is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    private string? Check(JsonElement schema, string keyword, JsonElement rule, JsonElement value, string path)
    {
        bool isText = value.ValueKind == JsonValueKind.String, isNumber = value.ValueKind == JsonValueKind.Number;
        bool isList = value.ValueKind == JsonValueKind.Array, isObject = value.ValueKind == JsonValueKind.Object;
        string? Unless(bool fits) => fits ? null : $"{path}: {value.GetRawText()} against {keyword} {rule.GetRawText()}";
        switch (keyword)
        {
            case "$ref":
                return Check(Find(rule.GetString()!), value, path);
            case "type":
                return Unless(rule.ValueKind == JsonValueKind.Array ? rule.EnumerateArray().Any(type => Is(type.GetString()!, value)) : Is(rule.GetString()!, value));
            case "enum":
                return Unless(rule.EnumerateArray().Any(item => JsonElement.DeepEquals(item, value)));
            case "const":
                return Unless(JsonElement.DeepEquals(rule, value));
            case "anyOf" or "oneOf":
                return Unless(rule.EnumerateArray().Any(choice => Check(choice, value, path) is null));
            case "allOf":
                return rule.EnumerateArray().Select(choice => Check(choice, value, path)).FirstOrDefault(problem => problem is not null);
            case "minimum" when isNumber:
                return Unless(value.GetDouble() >= rule.GetDouble());
            case "maximum" when isNumber:
                return Unless(value.GetDouble() <= rule.GetDouble());
            case "exclusiveMinimum" when isNumber:
                return Unless(value.GetDouble() > rule.GetDouble());
            case "exclusiveMaximum" when isNumber:
                return Unless(value.GetDouble() < rule.GetDouble());
            case "minLength" when isText:
                return Unless(value.GetString()!.EnumerateRunes().Count() >= rule.GetInt32());
            case "maxLength" when isText:
                return Unless(value.GetString()!.EnumerateRunes().Count() <= rule.GetInt32());
            case "pattern" when isText:
                return Unless(Regex.IsMatch(value.GetString()!, rule.GetString()!, RegexOptions.None, TimeSpan.FromSeconds(5)));
            case "format" when isText:
                return Unless(rule.GetString() switch
                {
                    "date-time" => value.TryGetDateTimeOffset(out _),
                    "date" => DateOnly.TryParseExact(value.GetString(), "yyyy-MM-dd", out _),
                    "uuid" => value.TryGetGuid(out _),
                    "ipv4" => System.Net.IPAddress.TryParse(value.GetString(), out _),
                    _ => true,
                });
            case "minItems" when isList:
                return Unless(value.GetArrayLength() >= rule.GetInt32());
            case "maxItems" when isList:
                return Unless(value.GetArrayLength() <= rule.GetInt32());
            case "prefixItems" when isList:
                return rule.EnumerateArray().Zip(value.EnumerateArray()).Select(pair => Check(pair.First, pair.Second, path + "[]")).FirstOrDefault(problem => problem is not null);
            case "items" when isList:
                int first = schema.TryGetProperty("prefixItems", out JsonElement prefix) ? prefix.GetArrayLength() : 0;
                return value.EnumerateArray().Skip(first).Select(item => Check(rule, item, path + "[]")).FirstOrDefault(problem => problem is not null);
            case "required" when isObject:
                return Unless(rule.EnumerateArray().All(name => value.TryGetProperty(name.GetString()!, out _)));
            case "properties" when isObject:
                return rule.EnumerateObject().Select(property => value.EnumerateObject().Where(member => member.NameEquals(property.Name))
                    .Select(member => Check(property.Value, member.Value, $"{path}.{property.Name}")).FirstOrDefault(problem => problem is not null)).FirstOrDefault(problem => problem is not null);
            case "additionalProperties" when isObject:
                return value.EnumerateObject().Where(member => !(schema.TryGetProperty("properties", out JsonElement known) && known.TryGetProperty(member.Name, out _)))
                    .Select(member => Check(rule, member.Value, $"{path}.{member.Name}")).FirstOrDefault(problem => problem is not null);
            default:
                return null;
        }
    }

    private JsonElement Find(string reference) => reference.Split('/').Skip(1).Aggregate(
        root, (at, step) => at.ValueKind == JsonValueKind.Array ? at[int.Parse(step, System.Globalization.CultureInfo.InvariantCulture)] : at.GetProperty(step));

    private static bool Is(string type, JsonElement value) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "number" => value.ValueKind == JsonValueKind.Number,
        "integer" => value.ValueKind == JsonValueKind.Number && value.GetDouble() == Math.Floor(value.GetDouble()),
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        _ => value.ValueKind == JsonValueKind.Null,
    };
}
