using KQuant.Matmul;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Texts so long that a softmax has several parts, which threads may share: the same bits, and the right ones.</summary>
public class LongTextTests
{
    private const int Length = 1100;

    private static readonly int[] Prompt = RandomCheckpoint.Prompt(Length);

    private readonly TemporaryFolder _folder = new();

    private static IEnumerable<string> Formats => CacheFormat.All.Select(format => format.Name);

    [OneTimeTearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void NeitherChunksNorThreadsMatter([Values("qwen2", "qwen3")] string name, [ValueSource(nameof(Formats))] string format)
    {
        int[] expected = Read(name, format, chunk: 512, threads: 1, last: 3);
        Assert.That(Read(name, format, chunk: 512, threads: 4, last: 3), Is.EqualTo(expected), "threads");
        Assert.That(Read(name, format, chunk: 100, threads: 1, last: 3), Is.EqualTo(expected), "chunks");
        Assert.That(Read(name, format, chunk: 512, threads: 4, last: 1), Is.EqualTo(expected), "one by one at the end");
    }

    /// <summary>Windows, soft caps and rings: threads do not matter there either.</summary>
    [Test]
    public void ThreadsDoNotMatterToWindows([Values("gemma2", "gemma3", "mistral")] string name)
    {
        int[] expected = Read(name, "f16", chunk: 300, threads: 1, last: 2);
        Assert.That(Read(name, "f16", chunk: 300, threads: 3, last: 2), Is.EqualTo(expected));
    }

    [Test]
    public void ProbabilitiesAreThoseOfTheReference([Values("qwen2", "gemma2")] string name)
    {
        RandomCheckpoint checkpoint = Create(name);
        double[] expected = new ReferenceDecoder(checkpoint.Config, checkpoint.Tensors).NextTokens(Prompt[..700])[^1];
        using LanguageModel model = Load(name, new ModelOptions());
        using KeyValueCache cache = model.CreateCache();
        float[] logits = RandomModels.Logits(model, cache, Prompt.AsSpan(0, 700));
        double most = logits.Max(), sum = logits.Sum(logit => Math.Exp(logit - most));
        Assert.That(logits.Select(logit => Math.Exp(logit - most) / sum), Is.EqualTo(expected).Within(5e-5));
    }

    /// <summary>What binary16 has no number for is infinite and stays so; it does not become another number.</summary>
    [Test]
    public unsafe void ValuesThatAreTooLargeForBinary16AreInfinite([Values(1, -1)] int sign)
    {
        using var values = new DenseValues(1, 16, CacheElement.Half);
        using var keys = new DenseKeys(1, 16, CacheElement.Half);
        keys.Reserve(16);
        values.Reserve(16);
        float[] large = [.. Enumerable.Repeat(sign * 1e6f, 16)], ones = [.. Enumerable.Repeat(1f, 16)];
        float[] outputs = new float[16], scores = new float[16], scratch = new float[Math.Max(keys.ScratchLength, values.ScratchLength)];
        fixed (float* l = large, one = ones, o = outputs, s = scores, memory = scratch)
        {
            keys.Store(0, 3, l);
            values.Store(0, 3, l);
            keys.Score(AttentionKernel.Best, 0, new SlotRange(0, 16), one, 1, s, 16, memory);
            values.Accumulate(AttentionKernel.Best, 0, new SlotRange(0, 16), one, 1, 16, o, memory);
        }

        Assert.That(scores[3], Is.EqualTo(sign * float.PositiveInfinity));
        Assert.That(scores[2], Is.Zero);
        Assert.That(outputs, Is.All.EqualTo(sign * float.PositiveInfinity));
    }

    /// <summary>Queries so large that they could not be scaled beforehand meet keys in binary16 as they are.</summary>
    [Test]
    public unsafe void LargeQueriesKeepTheirScores()
    {
        using var keys = new DenseKeys(1, 16, CacheElement.Half);
        keys.Reserve(16);
        float[] key = [.. Enumerable.Range(0, 16).Select(i => i / 4f)], query = [.. Enumerable.Repeat(1e7f, 16)];
        float[] scores = new float[16], scratch = new float[keys.ScratchLength];
        fixed (float* k = key, q = query, s = scores, memory = scratch)
        {
            keys.Store(0, 1, k);
            keys.Score(AttentionKernel.Best, 0, new SlotRange(0, 16), q, 1, s, 16, memory);
        }

        Assert.That(scores[1], Is.EqualTo(30 * 1e7f));
    }

    // With room for the text, and with windows of more than a part.
    private static RandomCheckpoint Create(string name)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        checkpoint.Config["max_position_embeddings"] = 2048;
        if (checkpoint.Config["sliding_window"] is not null)
        {
            checkpoint.Config["sliding_window"] = 700;
        }

        return checkpoint;
    }

    private LanguageModel Load(string name, ModelOptions options)
    {
        string path = _folder[name];
        lock (_folder)
        {
            if (!Directory.Exists(path))
            {
                Create(name).Write(path);
            }
        }

        return LanguageModel.Load(path, options with { LoadTokenizer = false });
    }

    private int[] Read(string name, string format, int chunk, int threads, int last)
    {
        using var context = new MatmulContext(new MatmulOptions
        {
            MaxDegreeOfParallelism = threads,
            Deterministic = true,
            Activations = ActivationPrecision.Float32,
        });
        var options = new ModelOptions
        {
            ChunkSize = chunk,
            Context = context,
            Cache = CacheOptions.Uniform(CacheFormat.All.Single(candidate => candidate.Name == format)),
        };
        using LanguageModel model = Load(name, options);
        using KeyValueCache cache = model.CreateCache();
        int before = Length - 6;
        model.Forward(Prompt.AsSpan(0, before), cache, default);
        var bits = new List<int>();
        for (int at = before; at < Length; at += last)
        {
            float[] logits = RandomModels.Logits(model, cache, Prompt.AsSpan(at, last));
            if ((at + last - before) % 6 == 0)
            {
                bits.AddRange(Numbers.Bits(logits));
            }
        }

        return [.. bits];
    }
}
