using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Tokenizers;

/// <summary>
/// WordPiece, Unigram and byte-pair models with marks of words give the ids and texts of Hugging Face's tokenizers, and regular expressions
/// cut where theirs do; recorded from version 0.23.
/// </summary>
public class OtherTokenizersTests
{
    private static readonly JsonObject Recorded =
        JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", "other-tokenizers.json")))!.AsObject();

    public static IEnumerable<TestCaseData> Models =>
        Recorded["cases"]!.AsArray().Select(entry => new TestCaseData(entry).SetName($"Ids: {entry!["name"]}"));

    public static IEnumerable<TestCaseData> Patterns =>
        Recorded["patterns"]!["cases"]!.AsArray().Select(entry => new TestCaseData(entry).SetName($"Pieces: {entry!["pattern"]}"));

    [TestCaseSource(nameof(Models))]
    public void GiveTheOfficialIds(JsonNode entry)
    {
        Tokenizer tokenizer = TinyTokenizer.Load(entry["tokenizer"]!.ToJsonString());
        string[] texts = Texts(Recorded["texts"]!);
        Assert.Multiple(() =>
        {
            for (int i = 0; i < texts.Length; i++)
            {
                JsonNode expected = entry["expected"]![i]!;
                int[] ids = tokenizer.Encode(texts[i]);
                Assert.That(string.Join(' ', ids), Is.EqualTo(string.Join(' ', expected["ids"]!.AsArray())), texts[i]);
                Assert.That(tokenizer.Decode(ids), Is.EqualTo(expected["text"]!.GetValue<string>()), texts[i]);
                StreamingDecoder decoder = tokenizer.CreateDecoder(skipSpecialTokens: false);
                string streamed = string.Concat(ids.Select(decoder.Append)) + decoder.Flush();
                Assert.That(streamed.Replace("\uFFFD", ""), Is.EqualTo(expected["text"]!.GetValue<string>().Replace("\uFFFD", "")), texts[i]);
            }
        });
    }

    [TestCaseSource(nameof(Patterns))]
    public void CutsAsOniguruma(JsonNode entry)
    {
        string[] texts = Texts(Recorded["patterns"]!["texts"]!);
        var splitter = new RegexSplitter(new RegexMatcher(entry["pattern"]!.GetValue<string>()), SplitBehavior.Isolated, invert: false);
        Assert.Multiple(() =>
        {
            for (int i = 0; i < texts.Length; i++)
            {
                Assert.That(Cut(splitter, texts[i]), Is.EqualTo(Texts(entry["pieces"]![i]!)), texts[i]);
            }
        });
    }

    [Test]
    public void ClustersAreThoseOfTheFramework()
    {
        var random = new Random(5);
        int[] points =
        [
            'a', ' ', '\r', '\n', 0x301, 0x200D, 0x1F468, 0x1F469, 0x1F467, 0x1F3FB, 0x1F1E6, 0x1F1E9, 0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0xE33, 0x93E,
            0x600, 0x200B, 0xFE0F, 0x2764, 0x915, 0x103B7, 0x20000,
        ];
        var splitter = new RegexSplitter(new RegexMatcher(@"\X"), SplitBehavior.Isolated, invert: false);
        for (int round = 0; round < 300; round++)
        {
            string text = string.Concat(Enumerable.Range(0, 12).Select(_ => char.ConvertFromUtf32(points[random.Next(points.Length)])));
            var expected = new List<string>();
            for (int at = 0, length; at < text.Length; at += length)
            {
                length = System.Globalization.StringInfo.GetNextTextElementLength(text.AsSpan(at));
                expected.Add(text.Substring(at, length));
            }

            Assert.That(Cut(splitter, text), Is.EqualTo(expected), string.Join(' ', text.EnumerateRunes().Select(rune => rune.Value.ToString("X"))));
        }
    }

    [TestCase("""[["a", -1]]""", "unk_id")]
    [TestCase("""[["a", "x"]]""", "score")]
    [TestCase("""[["a", -1], 3]""", "no list of pairs")]
    [TestCase("[]", "empty")]
    [TestCase("""{"a": 0}""", "no array")]
    public void ABadUnigramVocabularyIsRefused(string vocabulary, string message) => Assert.That(
        () => TinyTokenizer.Load("{\"model\": {\"type\": \"Unigram\", \"vocab\": " + vocabulary + "}}"),
        Throws.TypeOf<KQuant.Codecs.ModelFormatException>().With.Message.Contains(message));

    [TestCase("""{"type": "Precompiled", "precompiled_charsmap": "AAAA"}""", "no map of characters")]
    [TestCase("""{"type": "Precompiled", "precompiled_charsmap": "!"}""", "base64")]
    [TestCase("""{"type": "Precompiled", "precompiled_charsmap": "/////w=="}""", "no map of characters")]
    public void ABadMapOfCharactersIsRefused(string normalizer, string message) => Assert.That(
        () => TinyTokenizer.Change(json => json["normalizer"] = JsonNode.Parse(normalizer)),
        Throws.TypeOf<KQuant.Codecs.ModelFormatException>().With.Message.Contains(message));

    [Test]
    public void ALongTextWithoutSpacesIsTakenApartInTimeThatGrowsWithIt()
    {
        Tokenizer tokenizer = TinyTokenizer.Load(
            """{"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1], ["aa", -1.5], ["aaaa", -2.5]]}, "decoder": {"type": "Fuse"}}""");
        Assert.That(tokenizer.Encode(new string('a', 400_000)), Has.Length.EqualTo(100_000));
    }

    private static string[] Texts(JsonNode texts) => [.. texts.AsArray().Select(text => text!.GetValue<string>())];

    private static List<string> Cut(RegexSplitter splitter, string text)
    {
        var recorder = new PieceRecorder();
        splitter.Split(System.Text.Encoding.UTF8.GetBytes(text), new PieceSink([recorder], 0, null!));
        return recorder.Found;
    }

    /// <summary>A last step that writes down what it is given.</summary>
    private sealed class PieceRecorder : PreTokenizer
    {
        public List<string> Found { get; } = [];

        public override void Split(ReadOnlySpan<byte> piece, PieceSink next) => Found.Add(System.Text.Encoding.UTF8.GetString(piece));
    }
}
