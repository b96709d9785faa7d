using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>JSON as Python writes it, in the configs that are read and in those that are copied.</summary>
public class LenientJsonTests
{
    [TestCase("[0.0, Infinity]")]
    [TestCase("[-Infinity, 0.1]")]
    [TestCase("NaN")]
    [TestCase("{\"a\": [NaN,Infinity ,-Infinity\n], \"b\": \"NaN, Infinity: [-Infinity]\", \"\\\"NaN\": 1.50}")]
    [TestCase("[[Infinity]]")]
    public void IsReadAndKeptInItsSpelling(string value)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("config.json", $$"""{"before": 1e-05, "limit": {{value}}, "behind": "NaN"}""");
        JsonObject config = ConfigFile.Read(path);
        using var written = new MemoryStream();
        ConfigFile.Write(written, (JsonObject)config.DeepClone());
        string text = Encoding.UTF8.GetString(written.ToArray());
        Assert.That(Squeeze(text), Is.EqualTo(Squeeze(File.ReadAllText(path))));

        static string Squeeze(string json) => json.Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal);
    }

    [Test]
    public void TheWordsAreNumbersWithoutAnEnd()
    {
        JsonNode values = LenientJson.Parse("[Infinity, -Infinity, NaN, 1e999999]"u8)!;
        Assert.That(values[0].AsNumber(), Is.EqualTo(double.PositiveInfinity));
        Assert.That(values[1].AsNumber(), Is.EqualTo(double.NegativeInfinity));
        Assert.That(values[2].AsNumber(), Is.Not.Null.And.Not.InRange(double.MinValue, double.MaxValue));
        Assert.That(values[0].AsInteger(), Is.Null);
    }

    [TestCase("{\"a\": 1, \"b\": 2, \"a\": 3}", "{\"a\":3,\"b\":2}")]
    [TestCase("{\"x\": {\"a\": 1, \"a\": {\"b\": 1, \"b\": null}}}", "{\"x\":{\"a\":{\"b\":null}}}")]
    [TestCase("{\"a\": [1], \"\\u0061\": \"text\"}", "{\"a\":\"text\"}")]
    public void OfAKeyThatOccursTwiceTheLastValueCounts(string text, string expected) =>
        Assert.That(LenientJson.Parse(Encoding.UTF8.GetBytes(text))!.ToJsonString(), Is.EqualTo(expected));

    [TestCase("infinity")]
    [TestCase("[Infinit]")]
    [TestCase("[+Infinity]")]
    [TestCase("[nan]")]
    [TestCase("[NaNN]")]
    [TestCase("[- Infinity]")]
    [TestCase("[InfinityNaN]")]
    [TestCase("{Infinity: 1}")]
    [TestCase("[1, NaN")]
    public void OthersAreNoJson(string text) =>
        Assert.That(() => LenientJson.Parse(Encoding.UTF8.GetBytes(text)), Throws.InstanceOf<JsonException>());
}
