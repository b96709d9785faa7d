using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Assets;

/// <summary>The vocabularies that llama.cpp publishes, with the ids that it expects.</summary>
public class PublishedVocabularyTests
{
    private const string Pattern = "ggml-vocab-*.gguf";
    private const string Separator = "\n__ggml_vocab_test__\n";

    private static readonly JsonArray Tricky =
        JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", "tricky-ids.json")))!["cases"]!.AsArray();

    public static IEnumerable<TestCaseData> Vocabularies => TestAssets.Find(Pattern).Select(
        file => new TestCaseData(file).SetArgDisplayNames(file is null ? "no assets" : Path.GetFileNameWithoutExtension(file)));

    [TestCaseSource(nameof(Vocabularies))]
    public void GivesTheExpectedIds(string? file)
    {
        file = Require(file);
        string kind = KindOf(file);
        if (kind is not ("gpt2" or "llama" or "gemma4"))
        {
            Assert.That(
                () => Tokenizer.Load(file),
                Throws.TypeOf<ModelFormatException>().With.Message.Contains($"tokenizer.ggml.model is '{kind}', which is not supported"));
            return;
        }

        var tokenizer = Tokenizer.Load(file);
        if (!File.Exists(file + ".inp"))
        {
            ComeBack(tokenizer);
            return;
        }

        // Most files end with a separator.
        string[] texts = File.ReadAllText(file + ".inp").Split(Separator);
        string[] expected = File.ReadAllLines(file + ".out");
        Assert.That(expected, Has.Length.EqualTo(texts.Length).Or.Length.EqualTo(texts.Length - 1));
        Assert.Multiple(() =>
        {
            for (int i = 0; i < expected.Length; i++)
            {
                int[] ids = tokenizer.Encode(texts[i], addSpecialTokens: false, parseSpecialTokens: false);
                Assert.That(string.Join(' ', ids), Is.EqualTo(expected[i].Trim()), texts[i]);
            }
        });
    }

    [TestCase("ggml-vocab-llama-bpe.gguf", "llama-3")]
    [TestCase("ggml-vocab-qwen2.gguf", "qwen2")]
    [TestCase("ggml-vocab-gpt-2.gguf", "gpt-2")]
    public void TrickyTexts(string file, string name)
    {
        var tokenizer = Tokenizer.Load(Require(TestAssets.FindOne(file)));
        Assert.Multiple(() =>
        {
            foreach (JsonNode? entry in Tricky)
            {
                // Where llama.cpp differs from the official tokenizers, a GGUF file follows llama.cpp; but for Qwen's ordinary token </s>,
                // which llama.cpp takes for one that ends texts.
                string text = entry!["text"]!.GetValue<string>();
                JsonNode? other = entry["llama_cpp"]?[name];
                bool isOrdinary = name == "qwen2" && text.Contains("</s>", StringComparison.Ordinal);
                Check(isOrdinary ? null : other?["parse_special"], parse: true);
                Check(other?["no_parse_special"], parse: other is null);

                void Check(JsonNode? expected, bool parse) => Assert.That(
                    string.Join(' ', tokenizer.Encode(text, addSpecialTokens: false, parse)),
                    Is.EqualTo(string.Join(' ', (expected as JsonArray ?? entry[name]!).AsArray())),
                    $"{entry["name"]}, special tokens {(parse ? "" : "not ")}parsed");
            }
        });
    }

    private static string Require(string? file)
    {
        if (file is null)
        {
            Assert.Ignore(TestAssets.Missing($"{Pattern} and their .inp and .out files"));
        }

        return file;
    }

    private static string KindOf(string file)
    {
        using GgufFile gguf = GgufFile.Open(file);
        return gguf.Metadata.Get<string>("tokenizer.ggml.model");
    }

    // Vocabularies of pieces begin with a space and have no other spelling of U+2581 than one.
    private static string Comparable(string text) => text.Replace('\u2581', ' ').TrimStart(' ');

    private static void ComeBack(Tokenizer tokenizer)
    {
        foreach (JsonNode? entry in Tricky)
        {
            string text = entry!["text"]!.GetValue<string>();
            int[] ids = tokenizer.Encode(text, addSpecialTokens: false, parseSpecialTokens: false);
            Assert.That(Comparable(tokenizer.Decode(ids)), Is.EqualTo(Comparable(text)), text);
        }
    }
}
