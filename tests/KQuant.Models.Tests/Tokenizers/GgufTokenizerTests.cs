using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.Models.Export;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Tokenizers;

/// <summary>The tokenizer in a GGUF file gives the ids of the <c>tokenizer.json</c> that the file was made from.</summary>
public class GgufTokenizerTests
{
    private static readonly JsonObject Recorded =
        JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("text", "pre-tokenizer-ids.json")))!.AsObject();

    private static readonly string[] Texts = [.. Recorded["texts"]!.AsArray().Select(text => text!.GetValue<string>())];

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("qwen2", "qwen2", null)]
    [TestCase("qwen35", "qwen35", null)]
    [TestCase("llama-3", "dbrx", null)]
    [TestCase("llama-3", "llama-bpe", "llama-bpe")]
    [TestCase("gpt-2", "gpt-2", null)]
    [TestCase("o200k", "gpt-4o", null)]
    [TestCase("tekken", "tekken", null)]
    [TestCase("deepseek-v3", "deepseek-v3", null)]
    [TestCase("starcoder", "smollm", null)]
    [TestCase("starcoder", "starcoder", "starcoder")]
    [TestCase("deepseek-coder", "deepseek-coder", "deepseek-coder")]
    public void BytesUnderThePreTokenizerOfEveryFamily(string family, string pre, string? given)
    {
        JsonNode steps = Recorded["families"]!.AsArray().Single(entry => entry!["name"]!.GetValue<string>() == family)!["pre_tokenizer"]!;
        string model = CopyTiny(json =>
        {
            json["normalizer"] = null;
            json["pre_tokenizer"] = steps.DeepClone();

            // These take a piece that is a token without merging it.
            json["model"]!["ignore_merges"] = pre is "llama-bpe" or "tekken";
        });
        string gguf = Export(model, given);
        using (GgufFile file = GgufFile.Open(gguf))
        {
            Assert.That(file.Metadata.Get<string>("tokenizer.ggml.model"), Is.EqualTo("gpt2"));
            Assert.That(file.Metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo(pre));
        }

        AreEqual(Tokenizer.Load(model), Tokenizer.Load(gguf), Texts.Concat(RandomTexts("Ann's Łódź 12 345\n\r\t 漢字かな é ñ _-+/'re'LL🙂\u0301  ", 300)));
    }

    [Test]
    public void TheTrainedModelWithItsSpecialTokens()
    {
        string model = RepositoryFiles.Fixture("models", "tiny-dense");
        Tokenizer official = Tokenizer.Load(model), stored = Tokenizer.Load(Export(model));
        string[] texts = [.. Texts, .. RandomTexts("ab <|im_end|> x<|im_start|>user\n", 200), "<|im_start|>user\nHi<|im_end|>\n"];

        // llama.cpp never normalizes.
        AreEqual(TinyTokenizer.Change(json => json["normalizer"] = null), stored, texts);
        Assert.Multiple(() =>
        {
            Assert.That(stored.BosId, Is.EqualTo(official.BosId ?? 2045));
            Assert.That(stored.EosIds, Is.EquivalentTo(official.EosIds));
            Assert.That(stored.AddsBos, Is.EqualTo(official.AddsBos));
            Assert.That(stored.VocabularySize, Is.EqualTo(official.VocabularySize));
            for (int id = 0; id < official.VocabularySize; id++)
            {
                Assert.That((stored.GetToken(id), stored.IsSpecial(id)), Is.EqualTo((official.GetToken(id), official.IsSpecial(id))), $"{id}");
            }
        });
    }

    [Test]
    public void Pieces()
    {
        string model = RandomCheckpoint.Create("mistral").Write(_folder["mistral"]);
        string gguf = Export(model);
        using (GgufFile file = GgufFile.Open(gguf))
        {
            Assert.That(file.Metadata.Get<string>("tokenizer.ggml.model"), Is.EqualTo("llama"));
        }

        Tokenizer official = Tokenizer.Load(model), stored = Tokenizer.Load(gguf);
        string[] texts = [.. Texts.Where(text => !text.Contains('\u2581', StringComparison.Ordinal)), .. RandomTexts("the hello abc  bcd\nlort é🙂", 500)];

        // The made-up checkpoint has no decoder worth the name.
        AreEqual(official, stored, texts.Where(text => text.Length > 0), decodes: false);
        foreach (string text in texts.Where(text => !text.Contains('<', StringComparison.Ordinal)))
        {
            Assert.That(stored.Decode(stored.Encode(text), skipSpecialTokens: true), Is.EqualTo(text));
        }

        Assert.That(stored.AddsBos && stored.BosId == 1 && stored.EosIds.Contains(2));
    }

    /// <summary>Most writers store int32; the kinds of tokens fit any integer.</summary>
    [Test]
    public void KindsOfTokensOfAnyInteger()
    {
        using GgufExport export = GgufExport.Create(ModelFolder.Open(RandomCheckpoint.Create("mistral").Write(_folder["mistral"])));
        const string Key = "tokenizer.ggml.token_type";
        GgufMetadata metadata = export.Metadata;
        int[] types = metadata.GetArray<int>(Key);
        var expected = new Tokenizer(GgufTokenizer.Load("x.gguf", metadata));
        void Check<T>(Func<int, T> convert)
            where T : unmanaged
        {
            metadata.SetArray<T>(Key, Array.ConvertAll(types, type => convert(type)));
            var actual = new Tokenizer(GgufTokenizer.Load("x.gguf", metadata));
            AreEqual(expected, actual, Texts);
            Assert.That(Enumerable.Range(0, types.Length).Where(actual.IsSpecial), Is.EqualTo(Enumerable.Range(0, types.Length).Where(expected.IsSpecial)), typeof(T).Name);
        }

        Check(type => (byte)type);
        Check(type => (sbyte)type);
        Check(type => (short)type);
        Check(type => (ushort)type);
        Check(type => (uint)type);
        Check(type => (long)type);
        Check(type => (ulong)type);
        metadata.SetArray<float>(Key, Array.ConvertAll(types, type => (float)type));
        Assert.That(() => GgufTokenizer.Load("x.gguf", metadata), Throws.TypeOf<KQuant.Codecs.ModelFormatException>().With.Message.Contains(Key));
    }

    private static void AreEqual(Tokenizer expected, Tokenizer actual, IEnumerable<string> texts, bool decodes = true) => Assert.Multiple(() =>
    {
        foreach (string text in texts)
        {
            foreach (bool special in (bool[])[false, true])
            {
                int[] ids = actual.Encode(text, special);
                Assert.That(string.Join(' ', ids), Is.EqualTo(string.Join(' ', expected.Encode(text, special))), text);
                if (decodes)
                {
                    Assert.That(actual.Decode(ids, skipSpecialTokens: true), Is.EqualTo(expected.Decode(ids, skipSpecialTokens: true)), text);
                }
            }
        }
    });

    /// <summary>Texts of random parts of a sample.</summary>
    private static IEnumerable<string> RandomTexts(string sample, int count)
    {
        var random = new Random(sample.Length + count);
        Rune[] runes = [.. sample.EnumerateRunes()];
        for (int i = 0; i < count; i++)
        {
            var text = new StringBuilder();
            for (int parts = random.Next(1, 9); parts > 0; parts--)
            {
                int start = random.Next(runes.Length), end = random.Next(start, Math.Min(runes.Length, start + 8)) + 1;
                foreach (Rune rune in runes.AsSpan(start, end - start))
                {
                    text.Append(rune);
                }
            }

            yield return text.ToString();
        }
    }

    /// <summary>The metadata of a model as a GGUF of its own.</summary>
    private string Export(string model, string? preTokenizer = null)
    {
        using var export = GgufExport.Create(ModelFolder.Open(model), new GgufExportOptions { PreTokenizer = preTokenizer });
        new GgufWriter(export.Metadata).Write(_folder["tokenizer.gguf"]);
        return _folder["tokenizer.gguf"];
    }

    /// <summary>The tiny model with another tokenizer.</summary>
    private string CopyTiny(Action<JsonObject> change)
    {
        string copy = _folder["model"];
        Directory.CreateDirectory(copy);
        foreach (string file in Directory.EnumerateFiles(RepositoryFiles.Fixture("models", "tiny-dense")))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        JsonObject json = JsonNode.Parse(TinyTokenizer.Json)!.AsObject();
        change(json);
        File.WriteAllText(Path.Combine(copy, "tokenizer.json"), json.ToJsonString());
        return copy;
    }
}
