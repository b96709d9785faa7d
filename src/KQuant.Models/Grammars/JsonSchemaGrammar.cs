using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using static System.FormattableString;

namespace KQuant.Models.Grammars;

/// <summary>Writes a JSON schema as a grammar: a rule for each part of the schema.</summary>
internal sealed class JsonSchemaGrammar
{
    private static readonly string[] Types = ["object", "array", "string", "number", "integer", "boolean", "null"];

    /// <summary>Keywords that restrict a text and that are not understood.</summary>
    private static readonly string[] Unknown =
    [
        "not", "if", "then", "else", "patternProperties", "propertyNames", "minProperties", "maxProperties", "contains", "minContains",
        "maxContains", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems", "multipleOf",
        "$dynamicRef", "$recursiveRef", "additionalItems",
    ];

    /// <summary>Keywords that restrict a text, <c>type</c> and those that stand for a whole schema apart.</summary>
    private static readonly string[] Restricting =
    [
        "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "uniqueItems", "minLength",
        "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    ];

    /// <summary>Keywords that stand for a whole schema; one at a time.</summary>
    private static readonly string[] Whole = ["$ref", "const", "enum", "anyOf", "oneOf", "allOf"];

    private JsonNode? _root;
    private readonly StringBuilder _rules = new(JsonRules.All);
    private readonly Dictionary<string, string> _references = new(StringComparer.Ordinal);
    private int _count;

    /// <summary>The grammar of a schema, as text.</summary>
    /// <exception cref="GrammarException">The schema is not well-formed, or nothing fits it.</exception>
    /// <exception cref="NotSupportedException">It has something that is not understood.</exception>
    public static string Write(JsonNode schema) => Write([schema], parts => parts[0]);

    /// <summary>The grammar of texts with JSON in them, as text.</summary>
    /// <param name="schemas">Schemas, each by itself.</param>
    /// <param name="combine">From the parts of a grammar that stand for them to what a text looks like.</param>
    public static string Write(IReadOnlyList<JsonNode> schemas, Func<string[], string> combine)
    {
        var writer = new JsonSchemaGrammar();
        var parts = new string[schemas.Count];
        for (int i = 0; i < parts.Length; i++)
        {
            writer._root = schemas[i];
            writer._references.Clear();
            parts[i] = writer.Visit(schemas[i]);
        }

        return writer._rules.Append(CultureInfo.InvariantCulture, $"{JsonRules.Root} ::= {combine(parts)}\n").ToString();
    }

    private string Visit(JsonNode? node)
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new GrammarException("The schema nests too deep.");
        }

        if (node is JsonValue value && value.TryGetValue(out bool all))
        {
            return all ? "value" : throw new GrammarException("The schema is false, which nothing fits.");
        }

        JsonObject schema = node as JsonObject ?? throw Wrong("a schema", node, "an object");
        foreach (string keyword in Unknown)
        {
            if (schema.ContainsKey(keyword))
            {
                throw new NotSupportedException($"The schema has '{keyword}', which is not understood.");
            }
        }

        if (schema["uniqueItems"] is JsonValue unique && unique.TryGetValue(out bool isUnique) && isUnique)
        {
            throw new NotSupportedException("The schema has 'uniqueItems', which is not understood.");
        }

        string part = VisitKinds(schema);
        return schema["nullable"] is JsonValue nullable && nullable.TryGetValue(out bool isNullable) && isNullable ? AddRule($"{part} | null") : part;
    }

    private string VisitKinds(JsonObject schema)
    {
        string[] whole = [.. Whole.Where(schema.ContainsKey)];
        if (whole.Length == 0)
        {
            string[] types = TypesOf(schema);
            return types.Length == 1 ? VisitType(types[0], schema) : AddRule(string.Join(" | ", types.Select(type => VisitType(type, schema))));
        }

        string? beside = whole.Skip(1).FirstOrDefault() ?? Array.Find(Restricting, schema.ContainsKey);
        if (beside is not null)
        {
            throw new NotSupportedException($"The schema has '{beside}' beside '{whole[0]}', which is not understood.");
        }

        switch (whole[0])
        {
            case "$ref":
                return Refer(schema["$ref"]);
            case "const":
                return Literals(schema, [schema["const"]]);
            case "enum":
                return Literals(schema, schema["enum"] as JsonArray ?? throw Wrong("enum", schema["enum"], "a list"));
            default:
                JsonArray choices = schema[whole[0]] as JsonArray ?? throw Wrong(whole[0], schema[whole[0]], "a list of schemas");
                if (choices.Count == 0 || (whole[0] == "allOf" && choices.Count > 1))
                {
                    throw choices.Count == 0 ? Wrong(whole[0], choices, "a list of schemas")
                        : new NotSupportedException("The schema has an 'allOf' of several schemas, which is not understood.");
                }

                return AddRule(string.Join(" | ", choices.Select(choice => Visit(WithType(choice, schema["type"])))));
        }
    }

    /// <summary>A choice, restricted to the type that stands beside the choices.</summary>
    private static JsonNode? WithType(JsonNode? choice, JsonNode? type)
    {
        if (type is null || choice is not JsonObject schema || schema.ContainsKey("type") || Array.Exists(Whole, schema.ContainsKey))
        {
            return choice;
        }

        var typed = (JsonObject)schema.DeepClone();
        typed["type"] = type.DeepClone();
        return typed;
    }

    private static string[] TypesOf(JsonObject schema)
    {
        switch (schema["type"])
        {
            case null when !schema.ContainsKey("type"):
                return Has("properties", "required", "additionalProperties") ? ["object"]
                    : Has("items", "prefixItems", "minItems", "maxItems") ? ["array"]
                    : Has("minLength", "maxLength", "pattern", "format") ? ["string"]
                    : Has("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") ? ["number"]
                    : ["value"];
            case JsonValue value when value.TryGetValue(out string? type) && Types.Contains(type):
                return [type];
            case JsonArray { Count: > 0 } list when list.All(item => item is JsonValue value && value.TryGetValue(out string? type) && Types.Contains(type)):
                return [.. list.Select(item => item!.GetValue<string>()).Distinct()];
            default:
                throw Wrong("type", schema["type"], $"one or more of {string.Join(", ", Types)}");
        }

        bool Has(params string[] keywords) => Array.Exists(keywords, schema.ContainsKey);
    }

    private string VisitType(string type, JsonObject schema) => type switch
    {
        "object" => VisitObject(schema),
        "array" => VisitArray(schema),
        "string" => VisitString(schema),
        "number" or "integer" => VisitNumber(schema, isWhole: type == "integer"),
        _ => type,
    };

    private string VisitObject(JsonObject schema)
    {
        JsonObject properties = schema["properties"] switch
        {
            null => [],
            JsonObject found => found,
            JsonNode other => throw Wrong("properties", other, "an object"),
        };
        string[] required = schema["required"] switch
        {
            null => [],
            JsonArray names when names.All(name => name is JsonValue value && value.TryGetValue(out string? _)) =>
                [.. names.Select(name => name!.GetValue<string>()).Distinct()],
            JsonNode other => throw Wrong("required", other, "a list of names"),
        };
        JsonNode? more = schema["additionalProperties"];
        bool hasMore = more is JsonObject || (more is JsonValue value && value.TryGetValue(out bool allows) && allows)
            || (!schema.ContainsKey("properties") && !schema.ContainsKey("additionalProperties"));
        string? rest = hasMore ? Visit(more ?? true) : null;
        if (properties.Count == 0 && required.Length == 0 && rest is null)
        {
            return "\"{\" ws \"}\"";
        }

        // Names that are required and not described may have any value, if others may be there at all.
        List<(string Name, string Value)> members = [.. properties.Select(property => (property.Key, Visit(property.Value)))];
        foreach (string name in required.Where(name => !properties.ContainsKey(name)))
        {
            members.Add((name, rest ?? (schema.ContainsKey("additionalProperties")
                ? throw new GrammarException($"The schema requires '{Printable.Shorten(name)}' and allows no such property.")
                : "value")));
        }

        string key = rest is null ? "" : members.Count == 0 ? "string" : OtherKey([.. members.Select(member => member.Name)]);
        string another = rest is null ? "" : $"{key} \":\" ws {rest}";

        // Behind a member: the ones after it, each with its comma.
        string behind = rest is null ? "\"\"" : $"( \",\" ws {another} )*";

        // At the beginning: the same, but the first has none.
        string first = rest is null ? "\"\"" : $"( {another} {behind} )?";
        for (int i = members.Count - 1; i >= 0; i--)
        {
            (string name, string member) = members[i];
            string pair = $"{JsonRules.QuoteText(JsonRules.Text(name) + ":")} ws {member}";
            bool isRequired = required.Contains(name);
            string then = AddRule(behind);
            first = isRequired ? $"{pair} {then}" : AddRule($"{pair} {then} | {first}");
            behind = isRequired ? $"\",\" ws {pair} {then}" : $"( \",\" ws {pair} )? {then}";
        }

        return AddRule($"\"{{\" ws {first} ws \"}}\"");
    }

    /// <summary>A name that is none of some, written without escapes.</summary>
    private string OtherKey(string[] names)
    {
        // A name that has to be escaped is never met by one without escapes.
        Rune[][] plain = [.. names.Where(name => JsonRules.Text(name) == $"\"{name}\"").Select(name => name.EnumerateRunes().ToArray()).Distinct()];
        return "\"\\\"\" " + Not(plain, 0) + " \"\\\"\"";
    }

    /// <summary>The rest of a name that is none of some, all of which begin with what was read.</summary>
    private string Not(Rune[][] names, int at)
    {
        ILookup<Rune, Rune[]> next = names.Where(name => name.Length > at).ToLookup(name => name[at]);
        var parts = new List<string>();
        var others = new StringBuilder("[^\\x22\\x5C\\x00-\\x1F");
        foreach (IGrouping<Rune, Rune[]> group in next)
        {
            string letter = Invariant($"\\U{group.Key.Value:X8}");
            others.Append(letter);
            parts.Add($"[{letter}] {Not([.. group], at + 1)}");
        }

        parts.Add(others + "] [^\\x22\\x5C\\x00-\\x1F]*");
        if (!names.Any(name => name.Length == at))
        {
            parts.Add("\"\"");
        }

        return AddRule(string.Join(" | ", parts));
    }

    private string VisitArray(JsonObject schema)
    {
        int least = Count(schema, "minItems") ?? 0;
        int? most = Count(schema, "maxItems");
        if (most < least)
        {
            throw new GrammarException($"The schema has at least {least} and at most {most} items, which nothing fits.");
        }

        JsonNode?[] prefix = schema["prefixItems"] switch
        {
            null => [],
            JsonArray list => [.. list],
            JsonNode other => throw Wrong("prefixItems", other, "a list of schemas"),
        };
        if (schema["items"] is JsonArray)
        {
            throw new NotSupportedException("The schema has a list of 'items', which is not understood; 'prefixItems' is its name now.");
        }

        // The first items have schemas of their own; they may end early where fewer are enough.
        bool hasMore = !(schema["items"] is JsonValue value && value.TryGetValue(out bool allows) && !allows);
        string text = "";
        if (hasMore && (most is null || most > prefix.Length))
        {
            string item = schema.ContainsKey("items") ? Visit(schema["items"]) : "value";
            text = Repeat($"\",\" ws {item}", Math.Max(0, least - prefix.Length), most - prefix.Length);
            if (prefix.Length == 0)
            {
                string rest = Repeat($"\",\" ws {item}", Math.Max(0, least - 1), most - 1);
                text = least == 0 ? $"( {item} {rest} )?" : $"{item} {rest}";
            }
        }
        else if (least > prefix.Length)
        {
            throw new GrammarException($"The schema has at least {least} items and describes {prefix.Length}, which nothing fits.");
        }

        for (int i = Math.Min(prefix.Length, most ?? int.MaxValue) - 1; i >= 0; i--)
        {
            text = $"{(i > 0 ? "\",\" ws " : "")}{Visit(prefix[i])} {text}";
            text = i < least ? text : AddRule($"( {text} )?");
        }

        return AddRule($"\"[\" ws {text} ws \"]\"");
    }

    private static string VisitString(JsonObject schema)
    {
        int? least = Count(schema, "minLength"), most = Count(schema, "maxLength");
        if (most < least)
        {
            throw new GrammarException($"The schema has a text of at least {least} and at most {most} characters, which nothing fits.");
        }

        string? pattern = schema["pattern"] is null ? null
            : schema["pattern"] is JsonValue value && value.TryGetValue(out string? text) ? text : throw Wrong("pattern", schema["pattern"], "a text");
        string? format = schema["format"] is JsonValue name && name.TryGetValue(out string? kind) && JsonFormats.TryGet(kind, out string? rule) ? rule : null;
        if (new[] { pattern is not null, format is not null, least is > 0 || most is not null }.Count(has => has) > 1)
        {
            throw new NotSupportedException("The schema restricts a text by more than one of 'pattern', 'format' and its length, which is not understood.");
        }

        return pattern is not null ? $"\"\\\"\" {JsonPattern.Write(pattern)} \"\\\"\""
            : format is not null ? $"\"\\\"\" {format} \"\\\"\""
            : least is > 0 || most is not null ? $"\"\\\"\" {Repeat("char", least ?? 0, most)} \"\\\"\""
            : "string";
    }

    private static string VisitNumber(JsonObject schema, bool isWhole)
    {
        decimal? least = Number(schema, "minimum"), most = Number(schema, "maximum");
        decimal? above = Number(schema, "exclusiveMinimum"), below = Number(schema, "exclusiveMaximum");
        if (least is null && most is null && above is null && below is null)
        {
            return isWhole ? "integer" : "number";
        }

        bool excludesLeast = above is not null && !(least > above), excludesMost = below is not null && !(most < below);
        decimal low = (excludesLeast ? above : least) ?? -1e15m, high = (excludesMost ? below : most) ?? 1e15m;
        string rule;
        if (isWhole)
        {
            rule = JsonNumbers.Integers(
                excludesLeast ? decimal.Floor(low) + 1 : low, excludesMost ? decimal.Ceiling(high) - 1 : high);
        }
        else
        {
            rule = JsonNumbers.Numbers(low, high, excludesLeast, excludesMost);
        }

        return rule.Length > 0 ? rule : throw new NotSupportedException(Invariant($"The schema has a number between {low} and {high}, which is not understood."));
    }

    private string Literals(JsonObject schema, IEnumerable<JsonNode?> values)
    {
        string[] types = schema.ContainsKey("type") ? TypesOf(schema) : Types;
        string[] texts = [.. values.Where(value => types.Contains(TypeOf(value)) || (TypeOf(value) == "integer" && types.Contains("number")))
            .Select(JsonRules.Quote).Distinct()];
        return texts.Length switch
        {
            0 => throw new GrammarException("The schema has a list of values none of which fits its type."),
            1 => texts[0],
            _ => AddRule(string.Join(" | ", texts)),
        };
    }

    private static string TypeOf(JsonNode? value) => value?.GetValueKind() switch
    {
        null or JsonValueKind.Null => "null",
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Number => decimal.TryParse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out decimal number)
            && number == decimal.Floor(number) ? "integer" : "number",
        _ => "boolean",
    };

    /// <summary>The rule of another place of the schema; there before it is written, so that schemas may contain themselves.</summary>
    private string Refer(JsonNode? reference)
    {
        string path = reference is JsonValue value && value.TryGetValue(out string? text) ? text : throw Wrong("$ref", reference, "a text");
        if (_references.TryGetValue(path, out string? known))
        {
            return known;
        }

        JsonNode? at = _root;
        if (path != "#" && !path.StartsWith("#/", StringComparison.Ordinal))
        {
            throw new NotSupportedException($"The schema refers to '{Printable.Shorten(path)}', which is not within it.");
        }

        foreach (string step in path.Split('/').Skip(1))
        {
            string key = Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            at = at switch
            {
                JsonObject members => members[key],
                JsonArray items when int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < items.Count => items[index],
                _ => null,
            };
        }

        string name = NextName();
        _references.Add(path, name);
        string part = Visit(at ?? throw new GrammarException($"The schema refers to '{Printable.Shorten(path)}', which is not there."));
        _rules.Append(CultureInfo.InvariantCulture, $"{name} ::= {part}\n");
        return name;
    }

    private string AddRule(string text)
    {
        string name = NextName();
        _rules.Append(CultureInfo.InvariantCulture, $"{name} ::= {text}\n");
        return name;
    }

    private string NextName() => Invariant($"r{_count++}");

    private static string Repeat(string part, int least, int? most) =>
        most is null && least == 0 ? $"( {part} )*" : Invariant($"( {part} ){{{least},{most}}}");

    private static int? Count(JsonObject schema, string keyword) => Number(schema, keyword) switch
    {
        null => null,
        decimal count when count >= 0 && count <= int.MaxValue && count == decimal.Floor(count) => (int)count,
        _ => throw Wrong(keyword, schema[keyword], "a whole number"),
    };

    private static decimal? Number(JsonObject schema, string keyword)
    {
        if (schema[keyword] is not { } node)
        {
            return null;
        }

        return node is JsonValue && node.GetValueKind() == JsonValueKind.Number
            && double.TryParse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
            ? Math.Abs(value) >= 1e15 ? Math.Sign(value) * 1e15m
                : decimal.Parse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture)
            : throw Wrong(keyword, node, "a number");
    }

    private static GrammarException Wrong(string what, JsonNode? value, string expected) =>
        new($"In the schema, '{what}' is {Printable.Shorten(value?.ToJsonString() ?? "null")} and should be {expected}.");
}
