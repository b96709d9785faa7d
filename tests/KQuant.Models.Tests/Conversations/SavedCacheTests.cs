using System.Buffers.Binary;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Caches go to files and come back with the same bits, or not at all.</summary>
public class SavedCacheTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(64);

    private static IEnumerable<string> Formats => CacheFormat.All.Select(format => format.Name);

    private readonly RandomModels _models = new();
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [OneTimeTearDown]
    public void CloseModels() => _models.Dispose();

    [Test]
    public void ItGoesOnWithTheSameBits(
        [Values("llama3", "gemma2", "qwen3-moe")] string name, [ValueSource(nameof(Formats))] string format, [Values(0, 24)] int maxSize)
    {
        CacheFormat kind = CacheFormat.All.Single(format => format.Name == TestContext.CurrentContext.Test.Arguments[1] as string);
        var options = new ModelOptions { ChunkSize = 16, Cache = CacheOptions.Uniform(kind) };
        string path = _folder["cache"];
        float[] expected;
        using (LanguageModel model = _models.Load(name, options))
        {
            using KeyValueCache cache = model.CreateCache(maxSize);
            model.Forward(Prompt.AsSpan(0, 48), cache, default);
            cache.Save(path);
            expected = RandomModels.Logits(model, cache, Prompt.AsSpan(48));
        }

        using LanguageModel again = _models.Load(name, options);
        using KeyValueCache loaded = again.LoadCache(path);
        Assert.That(loaded.Tokens.ToArray(), Is.EqualTo(Prompt.Take(48)));
        Assert.That(loaded.MaxSize, Is.EqualTo(maxSize));
        Assert.That(Numbers.Bits(RandomModels.Logits(again, loaded, Prompt.AsSpan(48))), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(File.ReadAllBytes(path), Has.Length.EqualTo(new FileInfo(path).Length));
        Assert.That(Directory.GetFiles(_folder.Path), Has.Length.EqualTo(1), "nothing is left beside it");
    }

    [Test]
    public void ARingStillKnowsWhatItHasOverwritten()
    {
        using LanguageModel model = _models.Load("gemma2", new ModelOptions { ChunkSize = 4 });
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt, cache, default);
        cache.Save(_folder["cache"]);
        using KeyValueCache loaded = model.LoadCache(_folder["cache"]);
        Assert.That(loaded.TryTruncate(40), Is.False);
        Assert.That(loaded.TryTruncate(60), Is.True);
        Assert.That(loaded.TryTruncate(59), Is.False);
    }

    [Test]
    public void AnEmptyCacheIsOne()
    {
        using LanguageModel model = _models.Load("llama");
        using KeyValueCache cache = model.CreateCache();
        cache.Save(_folder["cache"]);
        using KeyValueCache loaded = model.LoadCache(_folder["cache"]);
        Assert.That((loaded.Length, loaded.ByteCount), Is.EqualTo((0, 0L)));
    }

    [Test]
    public void AnotherModelOrKindIsRefused()
    {
        string path = _folder["cache"];
        Save("llama", new ModelOptions(), path);
        Refuses("llama3", new ModelOptions(), path, "the cache was saved for another model");
        Refuses(
            "llama",
            new ModelOptions { Cache = new CacheOptions { Keys = CacheFormat.F16 } },
            path,
            "the cache is of another kind: layer 0 keeps keys in f32 and values in f32",
            "loaded with keys in f16 and values in f32");
        Refuses("llama", new ModelOptions { ContextLength = 32 }, path, "the cache holds 40 tokens and the context of the model 32");

        // The same weights with other numbers beside them are another model.
        string other = _folder["other"];
        RandomCheckpoint.Create("llama").Write(other);
        string config = Path.Combine(other, "config.json");
        JsonNode json = JsonNode.Parse(File.ReadAllText(config))!;
        json["rope_theta"] = 12345;
        File.WriteAllText(config, json.ToJsonString());
        using LanguageModel turned = LanguageModel.Load(other, new ModelOptions { LoadTokenizer = false });
        Assert.That(() => turned.LoadCache(path), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("another model"));
    }

    /// <summary>Nothing that a model computes is left out of what tells it from others.</summary>
    [TestCase("granite", "residual_multiplier", "0.3")]
    [TestCase("granite", "attention_multiplier", "0.5")]
    [TestCase("smollm3", "no_rope_layers", "[1, 1, 1, 1, 0]")]
    [TestCase("glm4-moe", "routed_scaling_factor", "2.5")]
    [TestCase("qwen2-moe", "norm_topk_prob", "true")]
    public void AModelThatComputesOtherwiseIsAnother(string name, string key, string value)
    {
        string path = _folder["cache"], other = _folder["other"];
        Save(name, new ModelOptions(), path);
        RandomCheckpoint.Create(name).Write(other);
        string config = Path.Combine(other, "config.json");
        JsonNode json = JsonNode.Parse(File.ReadAllText(config))!;
        json[key] = JsonNode.Parse(value);
        File.WriteAllText(config, json.ToJsonString());
        using LanguageModel changed = LanguageModel.Load(other, new ModelOptions { LoadTokenizer = false });
        Assert.That(() => changed.LoadCache(path), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("another model"));
    }

    [Test]
    public void ARingOfAnotherSizeIsAnotherKind()
    {
        Save("gemma2", new ModelOptions { ChunkSize = 4 }, _folder["cache"]);
        Refuses("gemma2", new ModelOptions { ChunkSize = 8 }, _folder["cache"], "the cache is of another kind");
    }

    [Test]
    public void DamageIsFoundWhereverItIs()
    {
        string path = _folder["cache"];
        Save("llama", new ModelOptions(), path);
        byte[] whole = File.ReadAllBytes(path);
        using LanguageModel model = _models.Load("llama");
        for (int at = 0; at < whole.Length; at += Math.Max(1, whole.Length / 97))
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x10;
            File.WriteAllBytes(path, damaged);
            Assert.That(() => model.LoadCache(path), Throws.InstanceOf<ModelFormatException>().With.Message.StartsWith(path), $"byte {at}");
        }

        foreach (int length in (int[])[0, 7, 12, 50, whole.Length / 2, whole.Length - 1])
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.That(() => model.LoadCache(path), Throws.InstanceOf<ModelFormatException>(), $"{length} bytes");
        }

        File.WriteAllBytes(path, [.. whole, 0]);
        Assert.That(() => model.LoadCache(path), Throws.InstanceOf<ModelFormatException>().With.Message.Contains("bytes; a cache of 40 tokens has"));
    }

    [Test]
    public void AClaimCostsNoMemory()
    {
        string path = _folder["cache"];
        Save("llama", new ModelOptions(), path);
        byte[] bytes = File.ReadAllBytes(path);
        using LanguageModel model = _models.Load("llama");
        foreach (int claim in (int[])[model.ContextLength, int.MaxValue, -1])
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8 + 4 + 32 + 4), claim);
            File.WriteAllBytes(path, bytes);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.That(() => model.LoadCache(path), Throws.InstanceOf<ModelFormatException>());
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(300_000), $"{claim}");
        }
    }

    [Test]
    public void ACacheInUseIsNotWrittenAndAFileStaysAsItWas()
    {
        string path = _folder.Write("cache", "before");
        using LanguageModel model = _models.Load("llama");
        KeyValueCache cache = model.CreateCache();
        foreach (Generation.GeneratedToken _ in model.Generate(Prompt, new Generation.GenerationOptions { Cache = cache, MaxTokens = 2, StopTokens = [] }))
        {
            Assert.That(() => cache.Save(path), Throws.InvalidOperationException);
        }

        cache.Dispose();
        Assert.That(() => cache.Save(path), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(File.ReadAllText(path), Is.EqualTo("before"));
    }

    [Test]
    public void BytesAreKnownBefore([Values("llama3", "gemma2", "qwen3-moe")] string name, [Values(0, 24)] int maxSize, [Values(1, 100, 300)] int tokens)
    {
        using LanguageModel model = _models.Load(name, new ModelOptions { ChunkSize = 16 });
        using KeyValueCache cache = model.CreateCache(maxSize);
        cache.Reserve(tokens);
        long bytes = cache.ByteCount;
        Assert.That(bytes, Is.EqualTo(model.GetCacheByteCount(tokens, maxSize)).And.GreaterThan(0));
        model.Forward(RandomCheckpoint.Prompt(tokens), cache, default);
        Assert.That(cache.ByteCount, Is.EqualTo(bytes), "nothing was added");
        Assert.That(
            model.GetCacheByteCount(tokens, maxSize, CacheOptions.Uniform(CacheFormat.F16)) * 2, Is.EqualTo(bytes));
        Assert.That(() => model.GetCacheByteCount(-1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => model.GetCacheByteCount(1, 3), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => model.CreateCache().Reserve(model.ContextLength + 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private void Save(string name, ModelOptions options, string path)
    {
        using LanguageModel model = _models.Load(name, options);
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt.AsSpan(0, 40), cache, default);
        cache.Save(path);
    }

    private void Refuses(string name, ModelOptions options, string path, params string[] words)
    {
        using LanguageModel model = _models.Load(name, options);
        string message = Assert.Throws<ModelFormatException>(() => model.LoadCache(path))!.Message;
        Assert.That(words.Where(word => !message.Contains(word, StringComparison.Ordinal)), Is.Empty, message);
    }
}
