using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Tokenizers;

/// <summary>The ids of the official tokenizers on adversarial texts, under the pre-tokenizer of every family.</summary>
public class OfficialIdsTests
{
    private static readonly JsonObject Recorded =
        JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", "pre-tokenizer-ids.json")))!.AsObject();

    public static IEnumerable<string> Families => Recorded["families"]!.AsArray().Select(family => family!["name"]!.GetValue<string>());

    [TestCaseSource(nameof(Families))]
    public void AreGiven(string name)
    {
        JsonNode family = Recorded["families"]!.AsArray().Single(family => family!["name"]!.GetValue<string>() == name)!;
        Tokenizer tokenizer = TinyTokenizer.With(family["normalizer"], family["pre_tokenizer"]);
        string[] texts = [.. Recorded["texts"]!.AsArray().Select(text => text!.GetValue<string>())];
        Assert.Multiple(() =>
        {
            for (int i = 0; i < texts.Length; i++)
            {
                int[] expected = [.. family["ids"]![i]!.AsArray().Select(id => id!.GetValue<int>())];
                Assert.That(tokenizer.Encode(texts[i], addSpecialTokens: false), Is.EqualTo(expected), texts[i]);
            }
        });
    }

    [TestCase("gpt-2")]
    [TestCase("llama-3")]
    [TestCase("deepseek-v3")]
    public void ComeBackAsTheText(string name)
    {
        JsonNode family = Recorded["families"]!.AsArray().Single(family => family!["name"]!.GetValue<string>() == name)!;
        Tokenizer tokenizer = TinyTokenizer.With(null, family["pre_tokenizer"]);
        foreach (JsonNode? text in Recorded["texts"]!.AsArray())
        {
            int[] ids = tokenizer.Encode(text!.GetValue<string>(), addSpecialTokens: false);
            StreamingDecoder decoder = tokenizer.CreateDecoder(skipSpecialTokens: false);
            string streamed = string.Concat(ids.Select(decoder.Append)) + decoder.Flush();
            Assert.That(tokenizer.Decode(ids), Is.EqualTo(text.GetValue<string>()));
            Assert.That(streamed, Is.EqualTo(text.GetValue<string>()));
        }
    }
}
