using System.Numerics.Tensors;
using KQuant.Matmul;
using KQuant.Models.Caching;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>A text gives the same logits however it is cut, stored and batched.</summary>
public class CacheTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(64);

    private readonly TemporaryFolder _folder = new();

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void ChunksDoNotMatter([Values("gemma2", "qwen3-moe")] string name, [Values(1, 7, 40)] int chunk)
    {
        float[] expected = Run(name, 64, 64);
        float[] actual = Run(name, chunk, 64);
        Assert.That(Difference(actual, expected), Is.LessThan(2e-4));
    }

    [Test]
    public void OneTokenAtATime([Values("gemma2", "llama3")] string name)
    {
        float[] expected = Run(name, 64, 64);
        float[] actual = Run(name, 64, 1);
        Assert.That(Difference(actual, expected), Is.LessThan(2e-4));
    }

    [Test]
    public void HalvesAreClose()
    {
        using LanguageModel model = Load("qwen3", new ModelOptions { LoadTokenizer = false, Cache = CacheOptions.Uniform(CacheFormat.F16) });
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        model.Forward(Prompt, cache, logits);
        float[] expected = Run("qwen3", 64, 64);
        double difference = Difference(logits, expected);
        Assert.That(difference, Is.GreaterThan(0).And.LessThan(0.05));
    }

    [Test]
    public void ForgettingAndGoingOnIsAsIfNothingHadBeen()
    {
        using LanguageModel model = Load("gemma3", new ModelOptions { LoadTokenizer = false, ChunkSize = 64 });
        using KeyValueCache cache = model.CreateCache();
        var expected = new float[model.Config.VocabularySize];
        model.Forward(Prompt, cache, expected);
        Assert.That(cache.TryTruncate(60), Is.True);
        model.Forward([1, 2, 3], cache, default);
        Assert.That(cache.TryTruncate(60), Is.True);
        var actual = new float[model.Config.VocabularySize];
        model.Forward(Prompt.AsSpan(60), cache, actual);
        Assert.That(Difference(actual, expected), Is.LessThan(2e-4));
    }

    [Test]
    public void TruncatingRefusesWhatARingHasOverwritten()
    {
        using LanguageModel model = Load("gemma2", new ModelOptions { LoadTokenizer = false, ChunkSize = 4 });
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt, cache, default);
        Assert.That(cache.TryTruncate(20), Is.False);
        Assert.That(cache.Length, Is.EqualTo(Prompt.Length));
        Assert.That(cache.TryTruncate(0), Is.True);
    }

    [Test]
    public void ALimitedCacheEqualsAFullOneWhileItSuffices()
    {
        using LanguageModel model = Load("llama3", new ModelOptions { LoadTokenizer = false });
        var logits = new float[2][];
        foreach (int size in new[] { 0, 64 })
        {
            using KeyValueCache cache = model.CreateCache(size);
            float[] last = logits[size == 0 ? 0 : 1] = new float[model.Config.VocabularySize];
            model.Forward(Prompt, cache, last);
        }

        Assert.That(Difference(logits[1], logits[0]), Is.LessThan(1e-4));
    }

    [Test]
    public void ALimitedCacheGoesBeyondTheContextInBoundedMemory()
    {
        using LanguageModel model = Load("llama3", new ModelOptions { LoadTokenizer = false, ContextLength = 48, ChunkSize = 16 });
        using KeyValueCache cache = model.CreateCache(32);
        var logits = new float[model.Config.VocabularySize];
        long bytes = 0;
        for (int i = 0; i < 8; i++)
        {
            model.Forward(Prompt, cache, logits);
            bytes = i == 0 ? cache.ByteCount : bytes;
        }

        Assert.That(cache.Length, Is.EqualTo(8 * 64));
        Assert.That(cache.ByteCount, Is.EqualTo(bytes));
        Assert.That(logits, Has.None.NaN);
    }

    /// <summary>A file may claim any window; one wider than every text is as good as none.</summary>
    [Test]
    public void AWindowOfAlmostTwoToThe31IsNone([Values(int.MaxValue, int.MaxValue - 15, int.MaxValue - 600)] int window)
    {
        RandomCheckpoint checkpoint = RandomCheckpoint.Create("mistral");
        checkpoint.Config["sliding_window"] = window;
        checkpoint.Config["max_position_embeddings"] = int.MaxValue;
        string path = checkpoint.Write(_folder[$"window{window}"]);
        var options = new ModelOptions { LoadTokenizer = false, ChunkSize = 512 };
        using LanguageModel model = LanguageModel.Load(path, options);
        using LanguageModel plain = Load("mistral", options);
        Assert.That(model.Config.GetWindow(0), Is.EqualTo(window));
        using KeyValueCache cache = model.CreateCache(), plainCache = plain.CreateCache();
        float[] logits = new float[model.Config.VocabularySize], expected = new float[logits.Length];
        model.Forward(Prompt, cache, logits);
        plain.Forward(Prompt, plainCache, expected);
        Assert.That(logits, Is.EqualTo(expected).AsCollection);
        Assert.That(cache.ByteCount, Is.LessThan(1 << 24));
    }

    /// <summary>A ring holds what the last token of a chunk sees and what the first one sees, and no more.</summary>
    [Test]
    public void ARingIsAsLongAsAWindowAndAChunk()
    {
        var ring = new SlotMap(window: 48, keep: 4, chunk: 8);
        Assert.That(ring.RingSize, Is.EqualTo(48 - 4 + 8 - 1));
        Assert.That(ring.CountSlots(1000), Is.EqualTo(4 + ring.RingSize));
        Assert.That(ring.GetSlot(3), Is.EqualTo(3));
        Assert.That(ring.GetSlot(4 + ring.RingSize), Is.EqualTo(4));
        var wide = new SlotMap(window: int.MaxValue, keep: 4, chunk: 65536);
        Assert.That(wide.RingSize, Is.Positive);
        Assert.That(wide.CountSlots(int.MaxValue), Is.Positive);
        Assert.That(wide.GetSlot(int.MaxValue), Is.Not.Negative);
    }

    [Test]
    public void MappedOrReadAModelIsTheSame()
    {
        float[][] logits = new float[2][];
        foreach (bool map in (bool[])[true, false])
        {
            using LanguageModel model = Load("qwen3", new ModelOptions { LoadTokenizer = false, Map = map });
            using KeyValueCache cache = model.CreateCache();
            float[] last = logits[map ? 0 : 1] = new float[model.Config.VocabularySize];
            model.Forward(Prompt, cache, last);
        }

        Assert.That(logits[1], Is.EqualTo(logits[0]).AsCollection);
    }

    /// <summary>The file of a model that was read may be cut off; that of a mapped one may not.</summary>
    [Test]
    public void AModelThatWasReadOutlivesItsFile()
    {
        string path = RandomCheckpoint.Create("qwen3").Write(_folder["cut"]);
        using LanguageModel model = LanguageModel.Load(path, new ModelOptions { LoadTokenizer = false, Map = false });
        using (var file = new FileStream(Path.Combine(path, "model.safetensors"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(0);
        }

        float[] expected = Run("qwen3", 64, 64), logits = new float[model.Config.VocabularySize];
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt, cache, logits);
        Assert.That(Difference(logits, expected), Is.LessThan(2e-4));
    }

    [Test]
    public void BatchesAreTextsSideBySide()
    {
        using LanguageModel model = Load("qwen2", new ModelOptions { LoadTokenizer = false });
        int vocabulary = model.Config.VocabularySize;
        int[] lengths = [3, 20, 11];
        var expected = new float[lengths.Length * vocabulary];
        var actual = new float[lengths.Length * vocabulary];
        var caches = new List<KeyValueCache>();
        for (int i = 0; i < lengths.Length; i++)
        {
            using KeyValueCache alone = model.CreateCache();
            model.Forward(Prompt.AsSpan(0, lengths[i] + 1), alone, expected.AsSpan(i * vocabulary, vocabulary));
            caches.Add(model.CreateCache());
            model.Forward(Prompt.AsSpan(0, lengths[i]), caches[i], default);
        }

        model.ForwardBatch([.. lengths.Select(length => Prompt[length])], caches, actual);

        Assert.That(Difference(actual, expected), Is.LessThan(2e-4));
        Assert.That(caches.Select(cache => cache.Length), Is.EqualTo(lengths.Select(length => length + 1)));
        caches.ForEach(cache => cache.Dispose());
    }

    [Test]
    [NonParallelizable]
    public void NothingIsAllocatedForAToken([Values("qwen3-moe", "gemma2")] string name, [Values("f32", "q8_0", "iq4_nl")] string format)
    {
        var options = new ModelOptions
        {
            LoadTokenizer = false,
            Matmul = new MatmulOptions { MaxDegreeOfParallelism = 1 },
            Cache = CacheOptions.Uniform(CacheFormat.All.Single(candidate => candidate.Name == format)),
        };
        using LanguageModel model = Load(name, options);
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        model.Forward(Prompt, cache, logits);
        long allocated = Allocations.LeastOf(() =>
        {
            for (int i = 0; i < 20; i++)
            {
                int token = i;
                model.Forward(new ReadOnlySpan<int>(in token), cache, logits);
            }
        });

        Assert.That(allocated, Is.Zero);
    }

    [Test]
    public void WrongArgumentsAreRefused()
    {
        using LanguageModel model = Load("llama3", new ModelOptions { LoadTokenizer = false, ContextLength = 32 });
        using LanguageModel other = Load("llama3", new ModelOptions { LoadTokenizer = false });
        using KeyValueCache cache = model.CreateCache();
        Assert.That(() => model.Forward([1, 320], cache, default), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("320"));
        Assert.That(() => model.Forward([1], cache, new float[7]), Throws.ArgumentException.With.Message.Contains("7 values"));
        Assert.That(() => other.Forward([1], cache, default), Throws.ArgumentException.With.Message.Contains("another model"));
        Assert.That(() => model.Forward(new int[33], cache, default), Throws.InstanceOf<ContextLengthException>().With.Message.Contains("33 tokens"));
        Assert.That(() => model.ForwardBatch([1, 2], [cache, cache], new float[640]), Throws.ArgumentException.With.Message.Contains("same cache"));
        Assert.That(() => model.CreateCache(3), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(cache.Length, Is.Zero);
    }

    private static double Difference(float[] actual, float[] expected)
    {
        var difference = new float[actual.Length];
        TensorPrimitives.Subtract(actual, expected, difference);
        return Math.Abs(TensorPrimitives.MaxMagnitude<float>(difference));
    }

    private LanguageModel Load(string name, ModelOptions options)
    {
        string path = _folder[name];
        lock (_folder)
        {
            if (!Directory.Exists(path))
            {
                RandomCheckpoint.Create(name).Write(path);
            }
        }

        return LanguageModel.Load(path, options);
    }

    private float[] Run(string name, int chunk, int step)
    {
        using LanguageModel model = Load(name, new ModelOptions { LoadTokenizer = false, ChunkSize = chunk });
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[model.Config.VocabularySize];
        for (int start = 0; start < Prompt.Length; start += step)
        {
            model.Forward(Prompt.AsSpan(start, Math.Min(step, Prompt.Length - start)), cache, logits);
        }

        return logits;
    }
}
