using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Grammars;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests.Grammars;

/// <summary>Schemas become grammars, and every text that these let through is JSON that fits the schema.</summary>
public class JsonSchemaTests
{
    private static readonly Tokenizer Tiny = Tokenizer.Load(RepositoryFiles.Fixture("models", "tiny-dense"));

    private static readonly string[] Schemas =
    [
        """{"type":"object"}""",
        """{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}""",
        """{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"},"c":{"type":"boolean"}},"required":["b"]}""",
        """{"type":"object","properties":{"a":{},"ab":{"type":"null"},"\"":{"type":"integer"}},"additionalProperties":{"type":"integer"}}""",
        """{"type":"object","additionalProperties":{"type":"array","items":{"type":"integer"},"maxItems":3}}""",
        """{"type":"object","required":["x"],"additionalProperties":{"type":"boolean"}}""",
        """{"type":"array","items":{"enum":["red","green","bl\"ue",3,null,{"a":[1,2]}]},"minItems":2,"maxItems":5}""",
        """{"type":"array","prefixItems":[{"type":"integer"},{"type":"boolean"}],"items":{"type":"null"},"minItems":1}""",
        """{"type":"array","prefixItems":[{"type":"integer"},{"type":"boolean"}],"items":false}""",
        """{"type":"array","maxItems":0}""",
        """{"type":"string","minLength":2,"maxLength":5}""",
        """{"type":["string","null"],"maxLength":3}""",
        """{"type":"string","pattern":"^[A-Z]{2}-\\d+(?:\\.\\d{1,3})?$"}""",
        """{"type":"string","pattern":"^a[^b\"]\\\\|^x|^[r-t]*y$"}""",
        """{"type":"string","format":"date-time"}""",
        """{"type":"array","items":{"type":"string","format":"date"},"minItems":1,"maxItems":4}""",
        """{"type":"array","items":{"anyOf":[{"type":"string","format":"uuid"},{"type":"string","format":"ipv4"}]},"minItems":1,"maxItems":3}""",
        """{"type":"integer","minimum":-17,"maximum":1203}""",
        """{"type":"integer","exclusiveMinimum":99,"maximum":100}""",
        """{"type":"number","minimum":0,"maximum":1}""",
        """{"type":"number","exclusiveMinimum":-2.5,"exclusiveMaximum":3}""",
        """{"type":"number","maximum":-1.5}""",
        """{"const":{"a":"\u00e9","b":[true,1.5]}}""",
        """{"anyOf":[{"type":"integer"},{"type":"object","properties":{"kind":{"const":"x"}},"required":["kind"]}]}""",
        """{"type":"object","properties":{"value":{"type":"integer","nullable":true},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["value","next"]}""",
        """{"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["children"]}}}""",
        """{"description":"a","title":"b","default":1,"examples":[1],"x-own":true,"allOf":[{"type":"integer"}]}""",
        "true",
    ];

    [TestCaseSource(nameof(Schemas))]
    public void EveryTextFits(string schema)
    {
        var grammar = Grammar.FromJsonSchema(JsonNode.Parse(schema)!);
        var validator = new SchemaValidator(JsonDocument.Parse(schema).RootElement);
        var random = new Random(schema.Length);
        var texts = new HashSet<string>();
        for (int i = 0; i < 50; i++)
        {
            string text = RandomTexts.Write(grammar, Tiny, random);
            JsonElement value = JsonDocument.Parse(text).RootElement;
            Assert.That(validator.Check(value), Is.Null, text);
            Assert.That(grammar.IsMatch(text), Is.True, text);
            texts.Add(text);
        }

        Assert.That(texts, Has.Count.GreaterThan(schema.Contains("const\":{\"a", StringComparison.Ordinal) || schema.Contains("maxItems\":0", StringComparison.Ordinal)
            || schema.Contains("99", StringComparison.Ordinal) ? 0 : 2));
    }

    [Test]
    public void EveryJsonObjectParses()
    {
        var random = new Random(1);
        for (int i = 0; i < 200; i++)
        {
            string text = RandomTexts.Write(Grammar.JsonObject, Tiny, random);
            Assert.That(JsonDocument.Parse(text).RootElement.ValueKind, Is.EqualTo(JsonValueKind.Object), text);
        }
    }

    [TestCase("""{"a": [1, -2.5e+3, "x\n\u00e9", {"b": null}], "": true}""", true)]
    [TestCase("{}", true)]
    [TestCase("""{"a":"\ud83d\ude00"}""", true)]
    [TestCase("[]", false)]
    [TestCase("""{"a":01}""", false)]
    [TestCase("""{"a":1,}""", false)]
    [TestCase("""{"a":"\ud83d"}""", false)]
    [TestCase("{\"a\":\"\n\"}", false)]
    [TestCase("""{"a":1""", false)]
    public void AJsonObjectIs(string text, bool fits) =>
        Assert.That(Grammar.JsonObject.IsMatch(text.Replace("\\ud83d\\ude00", "\ud83d\ude00", StringComparison.Ordinal)), Is.EqualTo(fits));

    [Test]
    public void NestingEndsWhereReadersEnd()
    {
        string Nested(int depth) => "{\"a\":" + new string('[', depth) + new string(']', depth) + "}";
        Assert.That(Grammar.JsonObject.IsMatch(Nested(50)), Is.True);
        Assert.That(Grammar.JsonObject.IsMatch(Nested(64)), Is.False);
        string deepest = Nested(Enumerable.Range(1, 64).Last(depth => Grammar.JsonObject.IsMatch(Nested(depth))));
        Assert.That(() => JsonDocument.Parse(deepest), Throws.Nothing);
    }

    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}""", """{"a":1,"b":"x"}""", true)]
    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}""", """{"b":"x"}""", true)]
    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}""", """{"b":"x","a":"y"}""", false)]
    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}""", """{"ab":"x"}""", true)]
    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}""", """{"\u0061":"x"}""", false)]
    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}""", """{"b": 2}""", true)]
    [TestCase("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["b"]}""", """{"a":1}""", false)]
    [TestCase("""{"type":"integer","minimum":5}""", "999999999999999", true)]
    [TestCase("""{"type":"integer","minimum":5}""", "4", false)]
    [TestCase("""{"type":"string","maxLength":2}""", "\"\u00e9\ud83d\ude00\"", true)]
    [TestCase("""{"type":"string","maxLength":2}""", "\"abc\"", false)]
    public void ATextIs(string schema, string text, bool fits) => Assert.That(Grammar.FromJsonSchema(JsonNode.Parse(schema)!).IsMatch(text), Is.EqualTo(fits));

    [Test]
    public void NumbersBetweenBoundsAreThose()
    {
        foreach ((int low, int high) in ((int, int)[])[(0, 0), (0, 9), (3, 47), (10, 99), (95, 1203), (-12, 30), (-205, -7), (100, 1000), (-1, 0)])
        {
            var grammar = Grammar.FromJsonSchema(JsonNode.Parse(FormattableString.Invariant($$"""{"type":"integer","minimum":{{low}},"maximum":{{high}}}"""))!);
            foreach (int value in Enumerable.Range(-1300, 2700))
            {
                Assert.That(grammar.IsMatch(value.ToString(CultureInfo.InvariantCulture)), Is.EqualTo(value >= low && value <= high), $"{value} in {low}..{high}");
            }
        }
    }

    [TestCase("""{"type":"text"}""", "'type' is \"text\"")]
    [TestCase("""{"type":[]}""", "'type' is []")]
    [TestCase("""{"properties":[]}""", "'properties' is []")]
    [TestCase("""{"$ref":"#/a"}""", "which is not there")]
    [TestCase("""{"$ref":"#"}""", "begins with itself")]
    [TestCase("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}""", "never ends")]
    [TestCase("""{"type":"array","minItems":3,"maxItems":2}""", "nothing fits")]
    [TestCase("""{"type":"string","enum":[1]}""", "none of which fits")]
    [TestCase("""{"type":"string","minLength":-1}""", "a whole number")]
    [TestCase("""{"type":"string","maxLength":99999999}""", "states")]
    [TestCase("false", "nothing fits")]
    [TestCase("3", "'a schema' is 3")]
    public void WhatMakesNoSenseIsSaid(string schema, string message) =>
        Assert.That(() => Grammar.FromJsonSchema(JsonNode.Parse(schema)!), Throws.InstanceOf<GrammarException>().With.Message.Contains(message));

    [TestCase("""{"not":{}}""", "'not'")]
    [TestCase("""{"type":"integer","multipleOf":3}""", "'multipleOf'")]
    [TestCase("""{"type":"array","uniqueItems":true}""", "'uniqueItems'")]
    [TestCase("""{"allOf":[{},{}]}""", "'allOf'")]
    [TestCase("""{"anyOf":[{}],"minLength":1}""", "'minLength' beside 'anyOf'")]
    [TestCase("""{"type":"string","pattern":"(?=a)"}""", "pattern")]
    [TestCase("""{"type":"string","pattern":"a","maxLength":3}""", "more than one")]
    [TestCase("""{"$ref":"http://elsewhere"}""", "not within")]
    public void WhatIsNotUnderstoodIsSaid(string schema, string message) =>
        Assert.That(() => Grammar.FromJsonSchema(JsonNode.Parse(schema)!), Throws.InstanceOf<NotSupportedException>().With.Message.Contains(message));

    [Test]
    public void TypesOfCSharpComeBack()
    {
        JsonElement schema = AIJsonUtilities.CreateJsonSchema(typeof(Person));
        var grammar = Grammar.FromJsonSchema(JsonNode.Parse(schema.GetRawText())!);
        var random = new Random(7);
        for (int i = 0; i < 100; i++)
        {
            string text = RandomTexts.Write(grammar, Tiny, random);
            Person? person = JsonSerializer.Deserialize<Person>(text, AIJsonUtilities.DefaultOptions);
            Assert.That(person!.Friends, Is.Not.Null, text);
        }
    }

#pragma warning disable CA1812 // made by the serializer
    internal sealed record Person(
        [property: System.ComponentModel.Description("The whole name.")] string Name, long Age, double? Height, Color Favourite, Color? Other, Person[] Friends,
        Dictionary<string, bool> Flags, DateTime Born, Guid Id, char Sex)
    {
        public List<decimal>? Numbers { get; init; }
    }
#pragma warning restore CA1812

    [System.Text.Json.Serialization.JsonConverter(typeof(System.Text.Json.Serialization.JsonStringEnumConverter<Color>))]
    internal enum Color
    {
        Red,
        Green,
    }
}
