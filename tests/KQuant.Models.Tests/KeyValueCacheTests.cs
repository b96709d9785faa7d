using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Caches know their tokens, fork, are cut back, and have one user at a time.</summary>
public class KeyValueCacheTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(64);

    private readonly RandomModels _models = new();

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    [Test]
    public void ItKnowsItsTokens()
    {
        using LanguageModel model = _models.Load("llama", new ModelOptions { ChunkSize = 7 });
        using KeyValueCache cache = model.CreateCache(), limited = model.CreateCache(16);
        foreach (KeyValueCache each in new[] { cache, limited })
        {
            model.Forward(Prompt, each, default);
            Assert.That(each.Tokens.ToArray(), Is.EqualTo(Prompt));
        }

        Assert.That(cache.TryTruncate(20), Is.True);
        model.ForwardBatch([5], [cache], new float[model.Config.VocabularySize]);
        Assert.That(cache.Tokens.ToArray(), Is.EqualTo(Prompt.Take(20).Append(5)));
        cache.Clear();
        Assert.That(cache.Tokens.IsEmpty, Is.True);
    }

    [Test]
    public void AForkGoesOnWithTheBitsOfAFreshText([Values("llama3", "gemma2", "qwen3-moe")] string name, [Values(0, 24)] int maxSize)
    {
        using LanguageModel model = _models.Load(name, new ModelOptions { ChunkSize = 16 });
        using KeyValueCache fresh = model.CreateCache(maxSize), original = model.CreateCache(maxSize);
        model.Forward(Prompt.AsSpan(0, 48), fresh, default);
        float[] expected = RandomModels.Logits(model, fresh, Prompt.AsSpan(48));

        model.Forward(Prompt.AsSpan(0, 48), original, default);
        using KeyValueCache fork = original.Fork();
        float[] other = RandomModels.Logits(model, original, [1, 2, 3, 4, 5]);
        float[] actual = RandomModels.Logits(model, fork, Prompt.AsSpan(48));
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(fork.Tokens.ToArray(), Is.EqualTo(Prompt));
        Assert.That(original.Length, Is.EqualTo(53));
        Assert.That(other, Is.Not.EqualTo(expected));
    }

    [Test]
    public void AForkOfABeginningIsAFreshText([Values("llama3", "qwen3")] string name)
    {
        using LanguageModel model = _models.Load(name, new ModelOptions { ChunkSize = 16 });
        using KeyValueCache fresh = model.CreateCache(), original = model.CreateCache();
        model.Forward(Prompt.AsSpan(0, 32), fresh, default);
        float[] expected = RandomModels.Logits(model, fresh, [9, 8, 7]);
        model.Forward(Prompt, original, default);
        Assert.That(original.TryFork(32, out KeyValueCache? fork), Is.True);
        using (fork)
        {
            Assert.That(fork!.ByteCount, Is.LessThan(original.ByteCount));
            Assert.That(Numbers.Bits(RandomModels.Logits(model, fork, [9, 8, 7])), Is.EqualTo(Numbers.Bits(expected)));
        }

        Assert.That(original.TryTruncate(32), Is.True);
        Assert.That(Numbers.Bits(RandomModels.Logits(model, original, [9, 8, 7])), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void ARingRefusesWhatItHasOverwrittenEvenWhenItWasCutBackBefore()
    {
        // A window of eight and chunks of four: eleven slots.
        using LanguageModel model = _models.Load("gemma2", new ModelOptions { ChunkSize = 4 });
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt, cache, default);
        Assert.That(cache.TryFork(40, out _), Is.False);
        Assert.That(cache.TryTruncate(60), Is.True);
        Assert.That(cache.TryTruncate(59), Is.False, "position 52 is where 63 was written");
        Assert.That(cache.Length, Is.EqualTo(60));
        using KeyValueCache fresh = model.CreateCache();
        model.Forward(Prompt.AsSpan(0, 60), fresh, default);
        Assert.That(
            Numbers.Bits(RandomModels.Logits(model, cache, [3])), Is.EqualTo(Numbers.Bits(RandomModels.Logits(model, fresh, [3]))));
    }

    [Test]
    public void ACancelledStepCountsAsWritten()
    {
        using LanguageModel model = _models.Load("gemma2", new ModelOptions { ChunkSize = 4 });
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt.AsSpan(0, 40), cache, default);
        using var source = new CancellationTokenSource();
        var gate = new GatedProducts.Gate { OnStep = _ => source.Cancel() };
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        Assert.That(() => model.Forward([1, 2, 3, 4], cache, default, source.Token), Throws.InstanceOf<OperationCanceledException>());
        gate.OnStep = null;
        Assert.That(cache.Length, Is.EqualTo(40));
        Assert.That(cache.TryTruncate(39), Is.False);
        Assert.That(cache.TryTruncate(40), Is.True);
        using KeyValueCache fresh = model.CreateCache();
        model.Forward(Prompt.AsSpan(0, 40), fresh, default);
        Assert.That(
            Numbers.Bits(RandomModels.Logits(model, cache, [3])), Is.EqualTo(Numbers.Bits(RandomModels.Logits(model, fresh, [3]))));
    }

    [Test]
    public async Task ASecondUseIsRefusedAndDisposingWaitsForTheFirst()
    {
        using LanguageModel model = _models.Load("llama");
        KeyValueCache cache = model.CreateCache();
        using var gate = new GatedProducts.Gate();
        model.Runner.Decorate(products => new GatedProducts(products, gate));
        gate.Close();
        Task first = Task.Run(() => model.Forward(Prompt, cache, default));
        gate.WaitUntilReached();
        Assert.That(() => model.Forward([1], cache, default), Throws.InvalidOperationException.With.Message.Contains("in use"));
        Assert.That(
            () => model.ForwardBatch([1], [cache], new float[model.Config.VocabularySize]), Throws.InvalidOperationException.With.Message.Contains("in use"));
        Assert.That(() => cache.TryTruncate(0), Throws.InvalidOperationException);
        Assert.That(cache.Fork, Throws.InvalidOperationException);
        cache.Dispose();
        gate.Open();
        await first.ConfigureAwait(false);
        Assert.That(cache.Length, Is.EqualTo(Prompt.Length));
        Assert.That(() => model.Forward([1], cache, default), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(cache.Clear, Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(cache.Fork, Throws.InstanceOf<ObjectDisposedException>());
        cache.Dispose();
    }

    [Test]
    public void AGenerationUsesItsCacheToItsEnd()
    {
        using LanguageModel model = _models.Load("llama");
        using KeyValueCache cache = model.CreateCache();
        var options = new Generation.GenerationOptions { Cache = cache, MaxTokens = 4, StopTokens = [] };
        foreach (Generation.GeneratedToken _ in model.Generate(Prompt, options))
        {
            Assert.That(() => model.Forward([1], cache, default), Throws.InvalidOperationException);
            Assert.That(() => model.Generate([1], options).First(), Throws.InvalidOperationException);
        }

        model.Forward([1], cache, default);
        Assert.That(cache.Length, Is.EqualTo(Prompt.Length + 4), "the last token is not in it until it is read");
    }

    [Test]
    public void AfterTheModelIsGoneNothingRuns()
    {
        LanguageModel model = _models.Load("llama");
        using KeyValueCache cache = model.CreateCache();
        model.Dispose();
        model.Dispose();
        Assert.That(() => model.Forward([1], cache, default), Throws.InstanceOf<ObjectDisposedException>().With.Message.Contains("LanguageModel"));
        Assert.That(() => model.CreateCache(), Throws.InstanceOf<ObjectDisposedException>());
    }
}
