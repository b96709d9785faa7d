using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Tokenizers;

/// <summary>What a tokenizer offers, and what it refuses.</summary>
public class TokenizerTests
{
    private static readonly Tokenizer Tiny = Tokenizer.Load(RepositoryFiles.Fixture("models", "tiny-dense"));

    [Test]
    public void KnowsItsVocabulary()
    {
        Assert.Multiple(() =>
        {
            Assert.That(Tiny.VocabularySize, Is.EqualTo(2048));
            Assert.That(Tiny.EosIds, Does.Contain(2047));
            Assert.That(Tiny.GetToken(2047), Is.EqualTo("<|im_end|>"));
            Assert.That(Tiny.TryGetId("<|im_start|>", out int id) && id == 2046);
            Assert.That(Tiny.TryGetId("no such token", out _), Is.False);
            Assert.That(Tiny.GetToken(2048), Is.Null);
            Assert.That(Tiny.IsSpecial(2046));
        });
    }

    [Test]
    public void NamesOfSpecialTokensCanBePlainText()
    {
        Assert.That(string.Join(' ', Tiny.Encode("<|im_end|>")), Is.EqualTo("2047"));
        int[] plain = Tiny.Encode("<|im_end|>", parseSpecialTokens: false);
        Assert.That(plain, Has.Length.GreaterThan(1).And.No.Member(2047));
        Assert.That(Tiny.Decode(plain), Is.EqualTo("<|im_end|>"));
    }

    [Test]
    public void ComposesWithoutTheFrameworksTables() => Assert.That(Tiny.Encode("e\u0301 \u1100\u1161\u11A8"), Is.EqualTo(Tiny.Encode("é 각")));

    [Test]
    public void MarksAreOrderedInTimeThatDoesNotExplode()
    {
        var text = new StringBuilder("a");
        for (int i = 0; i < 200_000; i++)
        {
            text.Append(i % 2 == 0 ? '\u0301' : '\u0323');
        }

        Assert.That(Tiny.Decode(Tiny.Encode(text.ToString())), Has.Length.EqualTo(text.Length - 1), "a with a dot below is one character");
    }

    [TestCase('x')]
    [TestCase(' ')]
    [TestCase('\n')]
    [TestCase('=')]
    public void LongRunsComeBack(char c) => Assert.That(Tiny.Decode(Tiny.Encode(new string(c, 300_000))), Is.EqualTo(new string(c, 300_000)));

    [Test]
    public void LongAndShortPiecesAreMergedAlike()
    {
        // The same letters as one long piece, which goes through the heap, and again in pieces that do not.
        string word = string.Concat(Enumerable.Repeat("holmeswatson", 20));
        int[] whole = Tiny.Encode(word);
        Assert.That(Tiny.Decode(whole), Is.EqualTo(word));
        Assert.That(whole, Has.Length.LessThan(word.Length / 2));
    }

    [Test]
    public void HalvesOfSurrogatePairsAreReplaced() => Assert.That(Tiny.Decode(Tiny.Encode("a\uD83Db")), Is.EqualTo("a\uFFFDb"));

    [Test]
    public void SpecialTokensCanBeSkipped()
    {
        int[] ids = Tiny.Encode("<|im_start|>user");
        Assert.That(Tiny.Decode(ids, skipSpecialTokens: true), Is.EqualTo("user"));
        StreamingDecoder decoder = Tiny.CreateDecoder();
        Assert.That(string.Concat(ids.Select(decoder.Append)) + decoder.Flush(), Is.EqualTo("user"));
    }

    [Test]
    public void AnIncompleteCharacterWaitsAndThenIsReplaced()
    {
        int[] ids = Tiny.Encode("🙂");
        StreamingDecoder decoder = Tiny.CreateDecoder();
        Assert.That(ids, Has.Length.EqualTo(4), "the vocabulary has no token for it");
        Assert.That(decoder.Append(ids[0]) + decoder.Append(ids[1]), Is.Empty);
        Assert.That(decoder.Flush(), Is.EqualTo("\uFFFD"));
        Assert.That(string.Concat(ids.Select(decoder.Append)), Is.EqualTo("🙂"));
    }

    [TestCase("""{"model": {"type": "WordLevel"}}""", "model.type is 'WordLevel'")]
    [TestCase("""{"model": {"type": "BPE", "merges": []}}""", "model.vocab is missing")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {}, "merges": []}}""", "model.vocab is empty")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}""", "'b' in model.vocab has the id 0")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 2000000000}, "merges": []}}""", "the id of 'a' in model.vocab")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}""", "the id of 'a' in model.vocab")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}, "merges": []}}""", "'a' twice")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]}}""", "model.merges[0] joins 'a' and 'a'")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}""", "model.merges[0] is no pair")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [7]}}""", "model.merges[0] is no pair")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}}""", "model.dropout is 0.1")]
    [TestCase("""{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "?"}}""", "model.unk_token is '?'")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "normalizer": {"type": "Sorted"}}""", "normalizer.type is 'Sorted'")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "decoder": {"type": "CTC"}}""", "decoder.type is 'CTC'")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "added_tokens": [{"id": 9, "content": "x"}]}""", "added_tokens[0].id is 9")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "added_tokens": 3}""", "added_tokens should be an array")]
    [TestCase("""{"model": {"vocab": {"\ud800": 0}, "merges": []}}""", "not valid JSON")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}}""", "the group at 0 has no end")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?<n>a)"}, "behavior": "Isolated"}}""", "not supported")]
    [TestCase("""{"model": {"vocab": {"a": 0}, "merges": []}, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "s"}}], "special_tokens": {"s": {"ids": [5]}}}}""", "post_processor.special_tokens.s.ids[0]")]
    [TestCase("[1]", "no JSON object")]
    [TestCase("{", "not valid JSON")]
    [TestCase("", "not valid JSON")]
    [TestCase("{}", "model is missing")]
    public void ABadFileIsRefused(string json, string message) =>
        Assert.That(() => TinyTokenizer.Load(json), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message).And.Message.Contains("tokenizer.json"));

    [Test]
    public void AFileCutAnywhereIsRefused()
    {
        string json = """{"added_tokens": [{"id": 1, "content": "b"}], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}""";
        Assert.That(string.Join(' ', TinyTokenizer.Load(json).Encode("ab")), Is.EqualTo("0 1"));
        for (int length = 0; length < json.Length; length++)
        {
            Assert.That(() => TinyTokenizer.Load(json[..length]), Throws.TypeOf<ModelFormatException>(), $"{length}");
        }
    }

    [Test]
    public void SentencePieceStyle()
    {
        // The vocabulary of an official test: words behind U+2581, bytes for the rest.
        var vocabulary = new JsonObject { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (int value = 0; value < 256; value++)
        {
            vocabulary[$"<0x{value:X2}>"] = vocabulary.Count;
        }

        foreach (string token in (string[])["\u2581", "a", "b", "\u2581a", "ab", "\u2581ab"])
        {
            vocabulary[token] = vocabulary.Count;
        }

        var json = new JsonObject
        {
            ["added_tokens"] = new JsonArray(new JsonObject { ["id"] = 1, ["content"] = "<s>", ["special"] = true }),
            ["normalizer"] = JsonNode.Parse("""{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}"""),
            ["post_processor"] = JsonNode.Parse("""{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [1]}}}"""),
            ["decoder"] = JsonNode.Parse("""{"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}"""),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocabulary,
                ["merges"] = JsonNode.Parse("""[["a", "b"], ["▁", "ab"], ["▁", "a"]]"""),
            },
        };
        Tokenizer tokenizer = TinyTokenizer.Load(json.ToJsonString());
        Assert.Multiple(() =>
        {
            Assert.That(string.Join(' ', tokenizer.Encode("ab a")), Is.EqualTo("1 264 262"));
            Assert.That(string.Join(' ', tokenizer.Encode("é", addSpecialTokens: false)), Is.EqualTo("259 198 172"));
            Assert.That(tokenizer.Decode([1, 264, 262], skipSpecialTokens: true), Is.EqualTo("ab a"));
            Assert.That(tokenizer.Decode([3 + 0xC3, 3 + 0x41]), Is.EqualTo("\uFFFD\uFFFD"), "a run of bytes that is no UTF-8 is replaced byte by byte");
            Assert.That(tokenizer.AddsBos);
        });
    }

    [Test]
    public void CountingGivesAsManyAsEncodingAndNoArrays([Values] bool adds, [Values] bool parses)
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryFiles.Fixture("models", "tiny-dense"));
        string[] texts = ["", " ", "Mr. Darcy", "<|im_start|>user\nHi<|im_end|>", "\u00e9\ud83d\ude00\ud800", new string('x', 3000)];
        foreach (string text in texts)
        {
            Assert.That(tokenizer.CountTokens(text, adds, parses), Is.EqualTo(tokenizer.Encode(text, adds, parses).Length), text);
        }

        string large = string.Concat(Enumerable.Repeat("It was a dark evening, and Mr. Darcy was gone. ", 20_000));
        int count = tokenizer.CountTokens(large, adds, parses);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(tokenizer.CountTokens(large, adds, parses), Is.EqualTo(count).And.GreaterThan(200_000));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(20_000));
    }
}
