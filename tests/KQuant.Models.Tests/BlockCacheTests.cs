using System.Numerics.Tensors;
using KQuant.Codecs;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Caches of blocks: what is stored, what is computed with it, and how much memory it takes.</summary>
public unsafe class BlockCacheTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(64);

    private readonly RandomModels _models = new();

    private static IEnumerable<string> Formats => Blocks.Select(format => format.Name);

    private static IEnumerable<string> All => CacheFormat.All.Select(format => format.Name);

    private static IEnumerable<CacheFormat> Blocks => CacheFormat.All.Where(format => format.ValuesPerBlock > 1 && QuantCodec.TryParse(format.Name, out _));

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    [Test]
    public void NamesAndBlocksAreThoseOfLlamaCpp()
    {
        Assert.That(
            CacheFormat.All.Select(format => format.Name).Take(9), Is.EqualTo(["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]));
        foreach (CacheFormat format in Blocks)
        {
            QuantCodec codec = Codec(format.Name);
            Assert.That(format.ValuesPerBlock, Is.EqualTo(codec.WeightsPerBlock));
            float[] row = Numbers.Gaussian(96, 3);
            byte[] expected = new byte[codec.GetByteCount(96)];
            codec.Encode(row, expected);
            using KeyStore keys = format.CreateKeys(2, 96);
            using ValueStore values = format.CreateValues(2, 96);
            keys.Reserve(32);
            values.Reserve(32);
            fixed (float* numbers = row)
            {
                keys.Store(1, 17, numbers);
                values.Store(1, 17, numbers);
            }

            Assert.That(new ReadOnlySpan<byte>(keys.Memory.Get(1, 17), expected.Length).ToArray(), Is.EqualTo(expected), format.Name);
            Assert.That(new ReadOnlySpan<byte>(values.Memory.Get(1, 17), expected.Length).ToArray(), Is.EqualTo(expected), format.Name);
            Assert.That((keys.ByteCount, values.ByteCount), Is.EqualTo((64L * expected.Length, 64L * expected.Length)));
        }
    }

    /// <summary>
    /// Scores are the products of decoded keys with queries that were rounded to int8, sums those of decoded values; a row has the same bits alone
    /// and beside others, and from any first block on.
    /// </summary>
    [Test]
    public void ScoresAndSumsAreThoseOfTheScalarSpecification(
        [ValueSource(nameof(Formats))] string name, [Values(32, 64, 96, 128, 256, 288)] int size, [Values(1, 2, 4, 9, 64)] int rows)
    {
        CacheFormat format = CacheFormat.All.Single(candidate => candidate.Name == name);
        const int heads = 2, slots = 96, start = 16, end = 83;
        using KeyStore keys = format.CreateKeys(heads, size);
        using ValueStore values = format.CreateValues(heads, size);
        keys.Reserve(slots);
        values.Reserve(slots);
        float[] numbers = Numbers.Gaussian(2 * slots * size, 1), queries = Numbers.Gaussian(rows * size, 2), weights = Numbers.Gaussian(rows * slots, 3);
        float[] scores = new float[rows * slots], outputs = new float[rows * values.Stride], one = new float[slots], sums = new float[values.Stride];
        float[] scratch = new float[Math.Max(keys.ScratchLength, values.ScratchLength)];
        var range = new SlotRange(start, end);
        fixed (float* x = numbers, q = queries, w = weights, s = scores, o = outputs, s1 = one, o1 = sums, memory = scratch)
        {
            for (int slot = 0; slot < slots; slot++)
            {
                keys.Store(1, slot, x + (slot * size));
                values.Store(1, slot, x + ((slots + slot) * size));
            }

            keys.Score(AttentionKernel.Best, 1, range, q, rows, s, slots, memory);
            values.Accumulate(AttentionKernel.Best, 1, range, w, rows, slots, o, memory);
            for (int row = 0; row < rows; row++)
            {
                float[] query = Round(queries.AsSpan(row * size, size));
                double[] expectedSums = new double[size];
                for (int slot = start; slot < end; slot++)
                {
                    float[] key = Decode(name, keys.Memory.Get(1, slot), size), value = Decode(name, values.Memory.Get(1, slot), size);
                    double expected = key.Zip(query, (a, b) => (double)a * b).Sum();
                    Assert.That(scores[(row * slots) + slot - start], Is.EqualTo(expected).Within(1e-4 * Math.Sqrt(size)), $"row {row}, slot {slot}");
                    for (int i = 0; i < size; i++)
                    {
                        expectedSums[i] += (double)weights[(row * slots) + slot - start] * value[i];
                    }
                }

                Assert.That(outputs.Skip(row * values.Stride).Take(size), Is.EqualTo(expectedSums).Within(1e-4));
                keys.Score(AttentionKernel.Best, 1, range, q + (row * size), 1, s1, slots, memory);
                Assert.That(Numbers.Bits(one.AsSpan(0, end - start)), Is.EqualTo(Numbers.Bits(scores.AsSpan(row * slots, end - start))), $"row {row} alone");
                keys.Score(AttentionKernel.Best, 1, new SlotRange(48, end), q + (row * size), 1, s1, slots, memory);
                Assert.That(
                    Numbers.Bits(one.AsSpan(0, end - 48)), Is.EqualTo(Numbers.Bits(scores.AsSpan((row * slots) + 48 - start, end - 48))), $"row {row} from 48 on");
                values.Accumulate(AttentionKernel.Best, 1, range, w + (row * slots), 1, slots, o1, memory);
                Assert.That(Numbers.Bits(sums), Is.EqualTo(Numbers.Bits(outputs.AsSpan(row * values.Stride, values.Stride))), $"sums of row {row} alone");
            }
        }
    }

    /// <summary>What only decodes is the same keys.</summary>
    [Test]
    public void ReadGivesDecodedKeysWithTheSlotsInnermost([ValueSource(nameof(Formats))] string name)
    {
        using KeyStore keys = CacheFormat.All.Single(candidate => candidate.Name == name).CreateKeys(1, 64);
        keys.Reserve(48);
        float[] numbers = Numbers.Gaussian(48 * 64, 5), scratch = new float[keys.ScratchLength];
        fixed (float* x = numbers, memory = scratch)
        {
            for (int slot = 0; slot < 48; slot++)
            {
                keys.Store(0, slot, x + (slot * 64));
            }

            CacheSpan read = keys.Read(0, 1, 2, memory);
            for (int slot = 16; slot < 48; slot++)
            {
                float[] key = Decode(name, keys.Memory.Get(0, slot), 64);
                for (int i = 0; i < 64; i++)
                {
                    Assert.That(read[((((slot / 16) - 1) * 64) + i) * 16 + (slot % 16)], Is.EqualTo(key[i]));
                }
            }
        }
    }

    /// <summary>No number makes a scale infinite.</summary>
    [Test]
    public void LargeNumbersBecomeTheLargestOfBinary16([ValueSource(nameof(Formats))] string name)
    {
        using ValueStore values = CacheFormat.All.Single(candidate => candidate.Name == name).CreateValues(1, 32);
        values.Reserve(16);
        float[] row = [.. Enumerable.Range(0, 32).Select(i => i % 2 == 0 ? 1e30f : -float.MaxValue)];
        fixed (float* x = row)
        {
            values.Store(0, 0, x);
        }

        float[] decoded = Decode(name, values.Memory.Get(0, 0), 32);
        Assert.That(decoded.Where((_, i) => i % 2 == 0), Is.All.EqualTo(65504).Within(15).Percent);
        Assert.That(decoded.Where((_, i) => i % 2 == 1), Is.All.EqualTo(-65504).Within(15).Percent);
    }

    [Test]
    public void MoreBitsAreCloser()
    {
        float[] expected = Run("qwen3", new CacheOptions());
        double[] errors = [.. new[] { CacheFormat.Q8_0, CacheFormat.Q5_1, CacheFormat.Q4_0 }
            .Select(format => Numbers.Nmse(Run("qwen3", CacheOptions.Uniform(format)), expected))];
        Assert.That(errors, Is.Ordered.Ascending);
        Assert.That(errors[0], Is.Positive.And.LessThan(1e-3));
    }

    /// <summary>Windows, rings, sinks and caches of limited size keep what they have.</summary>
    [Test]
    public void RingsForkAndAreCutBack([ValueSource(nameof(All))] string name, [Values("gemma2", "mistral", "gpt-oss")] string architecture, [Values(0, 24)] int maxSize)
    {
        CacheFormat format = CacheFormat.All.Single(candidate => candidate.Name == name);
        using LanguageModel model = _models.Load(architecture, new ModelOptions { ChunkSize = 16, Cache = CacheOptions.Uniform(format) });
        using KeyValueCache fresh = model.CreateCache(maxSize), original = model.CreateCache(maxSize);
        model.Forward(Prompt.AsSpan(0, 48), fresh, default);
        float[] expected = RandomModels.Logits(model, fresh, Prompt.AsSpan(48));
        model.Forward(Prompt.AsSpan(0, 48), original, default);
        using KeyValueCache fork = original.Fork();
        model.Forward([1, 2, 3], original, default);
        Assert.That(Numbers.Bits(RandomModels.Logits(model, fork, Prompt.AsSpan(48))), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(original.TryTruncate(48), Is.True);
        Assert.That(Numbers.Bits(RandomModels.Logits(model, original, Prompt.AsSpan(48))), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void BytesAreThoseOfTheBlocks([ValueSource(nameof(Formats))] string name)
    {
        CacheFormat format = CacheFormat.All.Single(candidate => candidate.Name == name);
        using LanguageModel model = _models.Load("qwen3", new ModelOptions { Cache = CacheOptions.Uniform(format) });
        using KeyValueCache cache = model.CreateCache();
        cache.Reserve(128);

        // Two layers with keys and values of two heads.
        Assert.That(cache.ByteCount, Is.EqualTo(128 * 2 * 2 * 2 * Codec(name).GetByteCount(128)));
        Assert.That(model.GetCacheByteCount(128), Is.EqualTo(cache.ByteCount));
    }

    /// <summary>
    /// What is reported is what the process grows by, whatever the kind. Stores have so many heads that their memory comes from the system, and
    /// not from what was freed before.
    /// </summary>
    [Test]
    [NonParallelizable]
    public void TheProcessGrowsByWhatIsReported([ValueSource(nameof(All))] string name)
    {
        const int tokens = 16_384, size = 128;
        CacheFormat format = CacheFormat.All.Single(candidate => candidate.Name == name);
        int keyBytes = format.GetKeyByteCount(size), valueBytes = format.GetValueByteCount(size);
        int heads = (200_000_000 / tokens / (keyBytes + valueBytes)) + 1;
        using KeyStore keys = format.CreateKeys(heads, size);
        using ValueStore values = format.CreateValues(heads, size);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        long before = Environment.WorkingSet;
        keys.Reserve(tokens);
        values.Reserve(tokens);
        long grown = Environment.WorkingSet - before, reported = keys.ByteCount + values.ByteCount;
        Assert.That(reported, Is.EqualTo((long)heads * (keyBytes + valueBytes) * tokens).And.GreaterThan(200_000_000));
        Assert.That(grown, Is.EqualTo(reported).Within(5).Percent);
    }

    [Test]
    public void HeadsThatAreNoWholeBlocksAreRefusedBeforeAnythingRuns()
    {
        var odd = CacheOptions.Uniform(CacheFormat.Q4_0);
        const string sentence = "A cache in q4_0 stores heads in blocks of 32 values; the heads of the model have 16.";
        using var folder = new TemporaryFolder();
        var checkpoint = RandomCheckpoint.Create("llama");
        (checkpoint.Config["num_attention_heads"], checkpoint.Config["num_key_value_heads"]) = (16, 8);
        checkpoint.Write(folder["model"]);
        Assert.That(
            () => LanguageModel.Load(folder["model"], new ModelOptions { LoadTokenizer = false, Cache = odd }),
            Throws.ArgumentException.With.Message.StartsWith(sentence));
        using LanguageModel model = LanguageModel.Load(folder["model"], new ModelOptions { LoadTokenizer = false });
        Assert.That(() => model.GetCacheByteCount(1, options: odd), Throws.ArgumentException.With.Message.StartsWith(sentence));
    }

    private static QuantCodec Codec(string name) => QuantCodec.TryParse(name, out QuantCodec? codec) ? codec : throw new ArgumentException(name);

    private static float[] Decode(string name, byte* row, int size)
    {
        QuantCodec codec = Codec(name);
        var decoded = new float[size];
        codec.Decode(new ReadOnlySpan<byte>(row, (int)codec.GetByteCount(size)), decoded);
        return decoded;
    }

    /// <summary>A query as int8 blocks of 32 have it.</summary>
    private static float[] Round(ReadOnlySpan<float> query)
    {
        var rounded = new float[query.Length];
        for (int start = 0; start < query.Length; start += 32)
        {
            float scale = MathF.Abs(TensorPrimitives.MaxMagnitude(query.Slice(start, 32))) / 127;
            for (int i = start; i < start + 32; i++)
            {
                rounded[i] = scale * MathF.Round(query[i] / scale, MidpointRounding.ToEven);
            }
        }

        return rounded;
    }

    private float[] Run(string name, CacheOptions options)
    {
        using LanguageModel model = _models.Load(name, new ModelOptions { Cache = options });
        using KeyValueCache cache = model.CreateCache();
        return RandomModels.Logits(model, cache, Prompt);
    }
}
