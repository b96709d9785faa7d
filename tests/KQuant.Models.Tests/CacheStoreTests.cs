using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>How keys and values are stored is one thing, where they lie and how they are attended to another.</summary>
public class CacheStoreTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(70);

    private readonly RandomModels _models = new();

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    [Test]
    public void AStoreThatOnlyDecodesHasTheBitsOfTheDecodedValues([Values("llama3", "gemma2", "qwen3-moe")] string name, [Values(7, 512)] int chunk)
    {
        float[] expected = Run(name, chunk, CacheOptions.Uniform(new Q8Format(isRounded: true)), out long wide);
        float[] actual = Run(name, chunk, CacheOptions.Uniform(new Q8Format(isRounded: false)), out long narrow);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(narrow, Is.LessThan(wide * 0.3));
        Assert.That(actual, Is.Not.EqualTo(Run(name, chunk, new CacheOptions(), out _)));
    }

    [Test]
    public void KeysAndValuesHaveFormatsOfTheirOwnAndSoHaveLayers()
    {
        float[] f32 = Run("llama", 512, new CacheOptions(), out long wide);
        float[] keys = Run("llama", 512, new CacheOptions { Keys = CacheFormat.F16 }, out long three);
        float[] values = Run("llama", 512, new CacheOptions { Values = CacheFormat.F16 }, out long alsoThree);
        float[] layer = Run(
            "llama", 512, new CacheOptions { Layers = new Dictionary<int, LayerCacheFormat> { [1] = new(CacheFormat.F16, CacheFormat.F16) } }, out long half);
        Assert.That((three * 4, alsoThree * 4, half * 4), Is.EqualTo((wide * 3, wide * 3, wide * 3)));
        float[][] all = [f32, keys, values, layer];
        Assert.That(all.Select(logits => string.Join(' ', Numbers.Bits(logits))).Distinct().Count(), Is.EqualTo(4), "each is something else");
        Assert.That(all.Select(logits => Numbers.Nmse(logits, f32)), Is.All.LessThan(1e-4));
        Assert.That(
            () => _models.Load("llama", new ModelOptions { Cache = new CacheOptions { Layers = new Dictionary<int, LayerCacheFormat> { [2] = default } } }),
            Throws.ArgumentException.With.Message.Contains("layer 2").And.Message.Contains("0 to 1"));
    }

    [Test]
    public unsafe void HooksSeeQueriesBeforeAndOutputsAfter()
    {
        float[] expected = Run("llama", 512, new CacheOptions(), out _);
        float[] actual = Run("llama", 512, CacheOptions.Uniform(new TurnedFormat()), out _);
        Assert.That(Numbers.Nmse(actual, expected), Is.LessThan(1e-9));
    }

    [Test]
    public unsafe void AForkOfMemoryIsACopy()
    {
        using var memory = new SlotMemory(2, 4);
        memory.Reserve(32);
        *(int*)memory.Get(1, 5) = 7;
        using SlotMemory fork = memory.Fork(16);
        memory.Reserve(48);
        *(int*)memory.Get(1, 5) = 8;
        Assert.That(*(int*)fork.Get(1, 5), Is.EqualTo(7));
        Assert.That(*(int*)memory.Get(1, 5), Is.EqualTo(8));
        Assert.That((fork.ByteCount, memory.ByteCount), Is.EqualTo((128L, 384L)));
    }

    private float[] Run(string name, int chunk, CacheOptions options, out long bytes)
    {
        using LanguageModel model = _models.Load(name, new ModelOptions { ChunkSize = chunk, Cache = options });
        using KeyValueCache cache = model.CreateCache();
        var logits = new float[2 * model.Config.VocabularySize];
        model.Forward(Prompt, cache, logits.AsSpan(0, logits.Length / 2));
        model.Forward([3], cache, logits.AsSpan(logits.Length / 2));
        bytes = cache.ByteCount;
        return logits;
    }

    /// <summary>Keeps everything the other way round, so that queries have to be turned too, and outputs turned back.</summary>
    private sealed class TurnedFormat() : CacheFormat("turned")
    {
        internal override KeyStore CreateKeys(int heads, int headSize) => new TurnedKeys(heads, headSize);

        internal override ValueStore CreateValues(int heads, int headSize) => new TurnedValues(heads, headSize);

        private sealed unsafe class TurnedKeys(int heads, int headSize) : KeyStore(heads, headSize)
        {
            private readonly DenseKeys _keys = new(heads, headSize, CacheElement.Single);

            public override SlotMemory Memory => _keys.Memory;

            public override void Store(int head, int slot, float* key)
            {
                new Span<float>(key, HeadSize).Reverse();
                _keys.Store(head, slot, key);
            }

            public override void PrepareQueries(float* queries, int rows)
            {
                for (int row = 0; row < rows; row++)
                {
                    new Span<float>(queries + (row * HeadSize), HeadSize).Reverse();
                }
            }

            public override CacheSpan Read(int head, int block, int count, float* scratch) => _keys.Read(head, block, count, scratch);

            public override KeyStore Fork(int slots) => throw new NotSupportedException();
        }

        private sealed unsafe class TurnedValues(int heads, int headSize) : ValueStore(heads, headSize)
        {
            private readonly DenseValues _values = new(heads, headSize, CacheElement.Single);

            public override SlotMemory Memory => _values.Memory;

            public override void Store(int head, int slot, float* value)
            {
                new Span<float>(value, HeadSize).Reverse();
                _values.Store(head, slot, value);
            }

            public override CacheSpan Read(int head, int slot, int count, float* scratch) =>
                _values.Read(head, slot, count, scratch);

            public override void FinishOutputs(float* outputs, int rows)
            {
                for (int row = 0; row < rows; row++)
                {
                    new Span<float>(outputs + (row * Stride), HeadSize).Reverse();
                }
            }

            public override ValueStore Fork(int slots) => throw new NotSupportedException();
        }
    }
}
