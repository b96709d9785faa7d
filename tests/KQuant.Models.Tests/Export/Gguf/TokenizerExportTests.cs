using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Export;
using KQuant.Models.Tokenizers;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Export;

/// <summary>The tokenizer of a checkpoint as metadata of a GGUF.</summary>
public class TokenizerExportTests
{
    private const string Spaces = @"\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Contractions = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)";

    private TemporaryFolder _folder = null!;
    private int _count;

    [OneTimeSetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void BytesOfTheTrainedModel()
    {
        using GgufExport export = GgufExport.Create(ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-dense")));
        GgufMetadata metadata = export.Metadata;
        string[] merges = File.ReadAllLines(RepositoryFiles.Fixture("models", "tiny-dense", "merges.txt"));
        JsonObject vocabulary = JsonNode.Parse(File.ReadAllText(RepositoryFiles.Fixture("models", "tiny-dense", "vocab.json")))!.AsObject();
        Assert.Multiple(() =>
        {
            Assert.That(metadata.Get<string>("tokenizer.ggml.model"), Is.EqualTo("gpt2"));
            Assert.That(metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo("qwen2"));
            Assert.That(metadata.GetStrings("tokenizer.ggml.merges"), Is.EqualTo(merges.Where(line => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal))));
            string[] tokens = [.. metadata.GetStrings("tokenizer.ggml.tokens")];
            Assert.That(vocabulary.Where(pair => tokens[(int)pair.Value!] != pair.Key), Is.Empty);
            Assert.That(tokens[2045..], Is.EqualTo(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]));
            Assert.That(metadata.GetArray<int>("tokenizer.ggml.token_type"), Is.EqualTo([.. Enumerable.Repeat(1, 2045), 3, 3, 3]));
            Assert.That(metadata.Get<uint>("tokenizer.ggml.bos_token_id"), Is.EqualTo(2045), "from config.json");
            Assert.That(metadata.Get<uint>("tokenizer.ggml.eos_token_id"), Is.EqualTo(2047));
            Assert.That(metadata.Get<uint>("tokenizer.ggml.padding_token_id"), Is.EqualTo(2045));
            Assert.That(metadata.Get<bool>("tokenizer.ggml.add_bos_token"), Is.False);
            Assert.That(metadata.Get<string>("tokenizer.chat_template"), Does.StartWith("{%- for message in messages %}"));
            Assert.That(metadata.Get<float>("general.sampling.temp"), Is.EqualTo(0.7f));
        });
    }

    [Test]
    public void FreeIdsAndAddedTokens()
    {
        GgufMetadata metadata = Export("llama");
        string[] tokens = [.. metadata.GetStrings("tokenizer.ggml.tokens")];
        int[] types = metadata.GetArray<int>("tokenizer.ggml.token_type");
        Assert.Multiple(() =>
        {
            Assert.That(tokens, Has.Length.EqualTo(320));
            Assert.That((tokens[300], types[300]), Is.EqualTo(("[PAD300]", 5)));
            Assert.That((tokens[310], types[310]), Is.EqualTo(("<|begin_of_text|>", 3)));
            Assert.That((tokens[312], types[312]), Is.EqualTo(("<note>", 4)));
            Assert.That(metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo("llama-bpe"));
            Assert.That(metadata.Get<bool>("tokenizer.ggml.add_bos_token"), Is.True, "the template of the post-processor");
            Assert.That(metadata.GetStrings("tokenizer.ggml.merges")[1], Is.EqualTo("\u0120 ab"));
            Assert.That(metadata.ContainsKey("tokenizer.ggml.scores"), Is.False);
        });
    }

    [Test]
    public void PiecesWithoutTheirModelAreScoredByTheirMerges()
    {
        GgufMetadata metadata = Export("mistral");
        string[] tokens = [.. metadata.GetStrings("tokenizer.ggml.tokens")];
        int[] types = metadata.GetArray<int>("tokenizer.ggml.token_type");
        float[] scores = metadata.GetArray<float>("tokenizer.ggml.scores");
        Assert.Multiple(() =>
        {
            Assert.That(metadata.Get<string>("tokenizer.ggml.model"), Is.EqualTo("llama"));
            Assert.That(metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo("default"));
            Assert.That(types[..4], Is.EqualTo([3, 3, 3, 6]));
            Assert.That(scores[Array.IndexOf(tokens, "ab")], Is.GreaterThan(scores[Array.IndexOf(tokens, "bc")]));
            Assert.That(scores[Array.IndexOf(tokens, "bc")], Is.GreaterThan(scores[Array.IndexOf(tokens, "th")]));
            Assert.That((types[Array.IndexOf(tokens, "  tab")], scores[Array.IndexOf(tokens, "  tab")]), Is.EqualTo((4, -1000f)));
            Assert.That((tokens[319], types[319], scores[319]), Is.EqualTo(("[PAD319]", 5, -10000f)));
            Assert.That(metadata.ContainsKey("tokenizer.ggml.add_space_prefix"), Is.False, "llama.cpp's default");
            Assert.That(metadata.Get<bool>("tokenizer.ggml.add_eos_token"), Is.False);
        });
        Assert.That(Export("gemma2").Get<bool>("tokenizer.ggml.add_space_prefix"), Is.False);
    }

    [Test]
    public void PiecesOfASentencePieceModel()
    {
        byte[] model =
        [
            .. Piece("<unk>", 0, 2), .. Piece("<s>", 0, 3), .. Piece("</s>", 0, 3), .. Piece("<0x41>", 0, 6), .. Piece("\u2581the", -3.5f, 1),
            .. Piece("made by hand", -4, 4), .. Piece("rare", -5, 5), 0x12, 2, 0x08, 1,
        ];
        GgufMetadata metadata = Export("mistral", path =>
        {
            File.WriteAllBytes(Path.Combine(path, "tokenizer.model"), model);
            File.Delete(Path.Combine(path, "tokenizer.json"));
            File.WriteAllText(Path.Combine(path, "added_tokens.json"), """{"<tool>": 7, "far": 5000}""");
            File.WriteAllText(
                Path.Combine(path, "tokenizer_config.json"),
                """{"added_tokens_decoder":{"0":{"content":"<unk>","special":true},"8":{"content":"a\u2581b","special":false}},"add_bos_token":true}""");
        });
        Assert.Multiple(() =>
        {
            Assert.That(
                metadata.GetStrings("tokenizer.ggml.tokens").Take(10),
                Is.EqualTo(["<unk>", "<s>", "</s>", "<0x41>", "\u2581the", "made by hand", "rare", "<tool>", "a b", "[PAD9]"]));
            Assert.That(metadata.GetArray<int>("tokenizer.ggml.token_type")[..10], Is.EqualTo([3, 3, 3, 6, 1, 1, 5, 4, 4, 5]));
            Assert.That(metadata.GetArray<float>("tokenizer.ggml.scores")[..10], Is.EqualTo([-1000, 0, 0, 0, -3.5f, -4, -5, -1000, -1000, -10000]));
        });
    }

    [TestCase("llama-bpe", true, Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Spaces)]
    [TestCase("dbrx", false, Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Spaces)]
    [TestCase("qwen2", false, Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Spaces)]
    [TestCase("qwen35", false, Contractions + @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + Spaces)]
    [TestCase("gpt-2", false, @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    [TestCase(
        "tekken", true,
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
        + @"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Spaces)]
    [TestCase(
        "gpt-4o", false,
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?"
        + @"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Spaces)]
    public void ThePatternTellsThePreTokenizer(string name, bool ignoresMerges, string pattern)
    {
        foreach ((string behavior, bool invert) in ((string, bool)[])[("Isolated", false), ("Removed", true)])
        {
            GgufMetadata metadata = Export("qwen3", path => Change(path, tokenizer =>
            {
                JsonNode split = tokenizer["pre_tokenizer"]!["pretokenizers"]![0]!;
                (split["pattern"]!["Regex"], split["behavior"], split["invert"]) = (pattern, behavior, invert);
                tokenizer["model"]!["ignore_merges"] = ignoresMerges;
            }));
            Assert.That(metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo(name));
        }
    }

    [TestCase("gpt-2", """{"type":"ByteLevel","add_prefix_space":false}""")]
    [TestCase("smollm", """{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","use_regex":true}]}""")]
    public void SoDoItsSteps(string name, string steps)
    {
        GgufMetadata metadata = Export("qwen3", path => Change(path, tokenizer => tokenizer["pre_tokenizer"] = JsonNode.Parse(steps)));
        Assert.That(metadata.Get<string>("tokenizer.ggml.pre"), Is.EqualTo(name));
    }

    [Test]
    public void SpacesInsideOfMergesAreWrittenAsBytesAre()
    {
        GgufMetadata metadata = Export("qwen3", path => Change(path, tokenizer =>
            tokenizer["model"]!["merges"] = new JsonArray(new JsonArray("a b", "c"), new JsonArray("t", "h"))));
        Assert.That(metadata.GetStrings("tokenizer.ggml.merges"), Is.EqualTo(["a\u0120b c", "t h"]));
    }

    [Test]
    public void ChatTemplatesComeFromWhereTheyAre()
    {
        GgufMetadata list = Export("qwen3", path => ChangeConfig(path, config => config["chat_template"] = JsonNode.Parse(
            """[{"name":"default","template":"D"},{"name":"tool use","template":"T"}]""")));
        GgufMetadata jinja = Export("qwen3", path =>
        {
            ChangeConfig(path, config => config.Remove("chat_template"));
            File.WriteAllText(Path.Combine(path, "chat_template.jinja"), "J");
            Directory.CreateDirectory(Path.Combine(path, "additional_chat_templates"));
            File.WriteAllText(Path.Combine(path, "additional_chat_templates", "rag.jinja"), "R");
        });
        GgufMetadata json = Export("qwen3", path =>
        {
            ChangeConfig(path, config => config["chat_template"] = null);
            File.WriteAllText(Path.Combine(path, "chat_template.json"), """{"chat_template":"S"}""");
        });
        Assert.Multiple(() =>
        {
            Assert.That(list.Get<string>("tokenizer.chat_template"), Is.EqualTo("D"));
            Assert.That(list.Get<string>("tokenizer.chat_template.tool_use"), Is.EqualTo("T"));
            Assert.That(list.GetStrings("tokenizer.chat_templates"), Is.EqualTo(["tool_use"]));
            Assert.That(jinja.Get<string>("tokenizer.chat_template"), Is.EqualTo("J"));
            Assert.That(jinja.Get<string>("tokenizer.chat_template.rag"), Is.EqualTo("R"));
            Assert.That(json.Get<string>("tokenizer.chat_template"), Is.EqualTo("S"));
        });
    }

    [Test]
    public void ALinkOutOfTheFolderIsNotPartOfTheFile()
    {
        string secret = _folder.Write("secret", "{{ not for others }}");
        GgufMetadata metadata = Export("qwen3", path =>
        {
            ChangeConfig(path, config => config.Remove("chat_template"));
            File.CreateSymbolicLink(Path.Combine(path, "chat_template.jinja"), secret);
        });
        Assert.That(metadata.ContainsKey("tokenizer.chat_template"), Is.False);
    }

    [Test]
    public void ATokenThatEndsTheTemplateEndsTexts()
    {
        GgufMetadata metadata = Export("llama", path => Change(path, tokenizer => tokenizer["post_processor"]!["single"]!.AsArray().Add(
            new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = "<note>", ["type_id"] = 0 } })));
        Assert.Multiple(() =>
        {
            Assert.That(metadata.Get<uint>("tokenizer.ggml.eos_token_id"), Is.EqualTo(312));
            Assert.That(metadata.Get<uint>("tokenizer.ggml.eot_token_id"), Is.EqualTo(311));
            Assert.That(metadata.Get<bool>("tokenizer.ggml.add_eos_token"), Is.True);
        });
    }

    [TestCase("310", new[] { 310 }, ExpectedResult = new[] { 311, 310 })]
    [TestCase("[310, 311, 312, 305, 5000]", new[] { 310, 312 }, ExpectedResult = new[] { 311, 310, 312 })]
    [TestCase("311", new int[0], ExpectedResult = new[] { 311 })]
    public int[] ATokenThatOnlyTheGenerationEndsWithIsStored(string ids, int[] ends)
    {
        GgufMetadata metadata = Export("qwen3", path =>
        {
            File.WriteAllText(Path.Combine(path, "generation_config.json"), $$"""{"eos_token_id":{{ids}}}""");
        });
        Assert.That(new Tokenizer(GgufTokenizer.Load("x.gguf", metadata)).EosIds, Is.SupersetOf(ends));
        string[] keys = ["eos_token_id", "eot_token_id", "eom_token_id"];
        return [.. keys.Select(key => "tokenizer.ggml." + key).Where(metadata.ContainsKey).Select(key => (int)metadata.Get<uint>(key))];
    }

    [Test]
    public void AnEndOfTheGenerationThatIsNoIdIsRefused() => Assert.That(
        () => Export("qwen3", path => File.WriteAllText(Path.Combine(path, "generation_config.json"), """{"eos_token_id":"no"}""")),
        Throws.TypeOf<ModelFormatException>().With.Message.Contains("eos_token_id is \"no\", which is no token id"));

    [TestCase("""{"model":{"type":"Unigram","vocab":[["a",-1]],"byte_fallback":true}}""", "its tokenizer is of type 'Unigram'")]
    [TestCase("""{"model":{"type":"WordPiece","vocab":{"a":0}}}""", "there is neither tokenizer.json nor tokenizer.model")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"WordLevel","vocab":{"a":0}}}""", "its tokenizer is of type 'WordLevel'")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","end_of_word_suffix":"</w>"}}""", "has end_of_word_suffix '</w>'")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":320}}}""", "token 'a' has id 320, but the token embedding has 320 rows")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":-1}}}""", "the id of 'a' in model.vocab is no whole number from 0")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"[PAD1]":2},"merges":[]}}""", "tokens 1 and 2 are both '[PAD1]'")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}}""", "model.merges[0] is no pair of tokens")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}""", "'b' in model.vocab has the id 0 of another token")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","merges":[]}}""", "model.vocab is missing")]
    [TestCase("""{"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"added_tokens":[{"content":"a"}]}""", "added_tokens[0].id is missing")]
    [TestCase("""{"added_tokens":[]}""", "model is missing")]
    [TestCase("""[]""", "the file holds no JSON object")]
    [TestCase("""{"model":""", "the file is not valid JSON")]
    public void WhatCannotBeWrittenIsRefused(string tokenizer, string message) => Assert.That(
        () => Export("qwen3", path => File.WriteAllText(Path.Combine(path, "tokenizer.json"), tokenizer)),
        Throws.InstanceOf<NotSupportedException>().Or.InstanceOf<ModelFormatException>().With.Message.Contains(message));

    [Test]
    public void MutationsAreReadOrRefused([Range(0, 3)] int seed)
    {
        const int cases = 250;
        var random = new Random(seed);
        string[] names = seed % 2 == 0 ? ["mistral", "tokenizer.json"] : ["mistral", "tokenizer.model"];
        string model = RandomCheckpoint.Create(names[0]).Write(_folder[$"mutated-{seed}"]), path = Path.Combine(model, names[1]);
        if (!File.Exists(path))
        {
            File.Delete(Path.Combine(model, "tokenizer.json"));
            File.WriteAllBytes(path, [.. Enumerable.Range(0, 40).SelectMany(i => Piece($"piece{i}", -i, 1))]);
        }

        byte[] original = File.ReadAllBytes(path);
        using ModelFolder folder = ModelFolder.Open(model);
        for (int i = 0; i < cases; i++)
        {
            File.WriteAllBytes(path, Mutation.Apply(random, original, startsWithLength: false));
            try
            {
                _ = GgufExport.Create(folder);
            }
            catch (Exception exception) when (exception is ModelFormatException or NotSupportedException)
            {
            }
        }
    }

    private static void Change(string path, Action<JsonObject> change) => ChangeFile(Path.Combine(path, "tokenizer.json"), change);

    private static void ChangeConfig(string path, Action<JsonObject> change) => ChangeFile(Path.Combine(path, "tokenizer_config.json"), change);

    private static void ChangeFile(string path, Action<JsonObject> change)
    {
        JsonObject json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        change(json);
        File.WriteAllText(path, json.ToJsonString());
    }

    /// <summary>A piece as protocol buffers encode it.</summary>
    private static byte[] Piece(string text, float score, byte type)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        var number = new byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(number, score);
        byte[] inner = [0x0A, (byte)utf8.Length, .. utf8, 0x15, .. number, 0x18, type];
        return [0x0A, (byte)inner.Length, .. inner];
    }

    private GgufMetadata Export(string name, Action<string>? change = null)
    {
        string made = _folder[name], path = _folder[$"{name}-{_count++}"];
        if (!Directory.Exists(made))
        {
            RandomCheckpoint.Create(name).Write(made);
        }

        Directory.CreateDirectory(path);
        foreach (string file in Directory.EnumerateFiles(made))
        {
            File.Copy(file, Path.Combine(path, Path.GetFileName(file)));
        }

        change?.Invoke(path);
        using GgufExport export = GgufExport.Create(ModelFolder.Open(path));
        return export.Metadata;
    }
}
