using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Caches of rotated and coded rows: their errors against theory, what is computed with them, and what they take.</summary>
public unsafe class RowCacheTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(64);

    private readonly RandomModels _models = new();

    /// <summary>Kinds that are neither dense nor blocks, and blocks behind a rotation.</summary>
    private static IEnumerable<string> Formats => Kinds.Select(format => format.Name);

    private static CacheFormat[] Kinds { get; } =
    [
        .. CacheFormat.All.Where(format => !QuantCodec.TryParse(format.Name, out _)), CacheFormat.Q4_0.WithRotation(), CacheFormat.Q8_0.WithRotation(),
    ];

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    /// <summary>
    /// Of a head of 128 Gaussian values: the errors of codebooks for values divided by their root mean square, that of a second stage, polar
    /// coordinates; π/2 - 1 of what a sketch at right angles stands for.
    /// </summary>
    [TestCase("turboquant_mse2", 0.1159, 34)]
    [TestCase("turboquant_mse3", 0.0339, 50)]
    [TestCase("turboquant_mse4", 0.0093, 66)]
    [TestCase("turboquant_prod3", 0.1159 * 0.571, 52)]
    [TestCase("turboquant_prod4", 0.0339 * 0.571, 68)]
    [TestCase("turboquant_rvq1", 0.1298, 34)]
    [TestCase("turboquant_rvq2", 0.0188, 66)]
    [TestCase("polar", 0.0321, 62)]
    [TestCase("qjl", 0.571, 18)]
    public void ErrorsAreThoseOfTheory(string name, double error, int bytes)
    {
        const int size = 128, rows = 2048;
        CacheFormat format = Kinds.Single(candidate => candidate.Name == name);
        Assert.That(format.GetKeyByteCount(size), Is.EqualTo(bytes));
        using KeyStore keys = format.CreateKeys(1, size);
        keys.Reserve(rows);
        float[] numbers = Numbers.Gaussian(rows * size, 4), scratch = new float[keys.ScratchLength];
        double squares = 0;
        fixed (float* x = numbers, memory = scratch)
        {
            for (int slot = 0; slot < rows; slot++)
            {
                float[] copy = numbers[(slot * size)..((slot + 1) * size)];
                fixed (float* key = copy)
                {
                    keys.Store(0, slot, key);
                    keys.PrepareQueries(x + (slot * size), 1);
                }

                CacheSpan read = keys.Read(0, slot / 16, 1, memory);
                for (int i = 0; i < size; i++)
                {
                    squares += Math.Pow(read[(i * 16) + (slot % 16)] - numbers[(slot * size) + i], 2);
                }
            }
        }

        Assert.That(squares / (rows * size), Is.EqualTo(error).Within(1e-3).Or.EqualTo(error).Within(1).Percent);
    }

    /// <summary>The mean of errors is zero within four standard errors, and their spread is below what Gaussian directions would have.</summary>
    [TestCase("turboquant_prod3", 0.571)]
    [TestCase("turboquant_prod4", 0.1845)]
    [TestCase("qjl", 1.571)]
    public void EstimatesAreUnbiased(string name, double variance)
    {
        const int size = 128, rows = 4096;
        using KeyStore keys = Kinds.Single(candidate => candidate.Name == name).CreateKeys(1, size);
        keys.Reserve(rows);
        float[] numbers = Numbers.Gaussian(rows * size, 5), queries = Numbers.Gaussian(8 * size, 6), scores = new float[8 * rows];
        float[] scratch = new float[keys.ScratchLength];
        double[] expected = new double[8 * rows];
        for (int i = 0; i < expected.Length; i++)
        {
            expected[i] = Dot(queries.AsSpan(i / rows * size, size), numbers.AsSpan(i % rows * size, size));
        }

        double[] lengths = [.. Enumerable.Range(0, 8).Select(row => (double)Dot(queries.AsSpan(row * size, size), queries.AsSpan(row * size, size)))];
        fixed (float* x = numbers, q = queries, s = scores, memory = scratch)
        {
            for (int slot = 0; slot < rows; slot++)
            {
                keys.Store(0, slot, x + (slot * size));
            }

            keys.PrepareQueries(q, 8);
            keys.Score(AttentionKernel.Best, 0, new SlotRange(0, rows), q, 8, s, rows, memory);
        }

        double[] errors = [.. scores.Select((score, i) => (score - expected[i]) / Math.Sqrt(lengths[i / rows]))];
        double measured = errors.Average(error => error * error);
        Assert.That(Math.Abs(errors.Average()), Is.LessThan(4 * Math.Sqrt(measured / errors.Length)));

        // Regressed on the products themselves, too: nothing shrinks.
        double slope = errors.Zip(expected, (error, product) => error * product).Sum() / expected.Sum(product => product * product);
        Assert.That(slope, Is.Zero.Within(variance * 4e-3));
        Assert.That(measured, Is.LessThan(variance));
    }

    [Test]
    public void ScoresAndSumsAreThoseOfTheRows(
        [ValueSource(nameof(Formats))] string name, [Values(32, 64, 96, 128, 160)] int size, [Values(1, 4, 9, 66)] int rows)
    {
        CacheFormat format = Kinds.Single(candidate => candidate.Name == name);
        const int heads = 2, slots = 96, start = 16, end = 83;
        using KeyStore keys = format.CreateKeys(heads, size);
        using ValueStore values = format.CreateValues(heads, size);
        keys.Reserve(slots);
        values.Reserve(slots);
        float[] numbers = Numbers.Gaussian(2 * slots * size, 1), queries = Numbers.Gaussian(rows * size, 2), weights = Numbers.Gaussian(rows * slots, 3);
        float[] scores = new float[rows * slots], outputs = new float[rows * values.Stride], one = new float[slots], sums = new float[values.Stride];
        float[] scratch = new float[Math.Max(keys.ScratchLength, values.ScratchLength)], decoded = new float[64 * values.Stride];
        var range = new SlotRange(start, end);
        fixed (float* x = numbers, q = queries, w = weights, s = scores, o = outputs, s1 = one, o1 = sums, memory = scratch, room = decoded)
        {
            for (int slot = 0; slot < slots; slot++)
            {
                keys.Store(1, slot, x + (slot * size));
                values.Store(1, slot, x + ((slots + slot) * size));
            }

            float[] read = new float[slots * size], stored = new float[slots * size];
            for (int slot = 0; slot < slots; slot++)
            {
                CacheSpan block = keys.Read(1, slot / 16, 1, memory);
                CacheSpan row = values.Read(1, slot, 1, room);
                for (int i = 0; i < size; i++)
                {
                    read[(slot * size) + i] = block[(i * 16) + (slot % 16)];
                    stored[(slot * size) + i] = row[i];
                }
            }

            keys.Score(AttentionKernel.Best, 1, range, q, rows, s, slots, memory);
            values.Accumulate(AttentionKernel.Best, 1, range, w, rows, slots, o, memory);
            double tolerance = name.Contains("q4_0") || name.Contains("q8_0") ? 0.3 : 2e-5 * size;
            for (int row = 0; row < rows; row++)
            {
                for (int slot = start; slot < end; slot++)
                {
                    double expected = Enumerable.Range(0, size).Sum(i => (double)read[(slot * size) + i] * queries[(row * size) + i]);
                    Assert.That(scores[(row * slots) + slot - start], Is.EqualTo(expected).Within(tolerance), $"row {row}, slot {slot}");
                }

                double[] expectedSums = [.. Enumerable.Range(0, size).Select(
                    i => Enumerable.Range(start, end - start).Sum(slot => (double)weights[(row * slots) + slot - start] * stored[(slot * size) + i]))];
                Assert.That(outputs.Skip(row * values.Stride).Take(size), Is.EqualTo(expectedSums).Within(1e-4));
                keys.Score(AttentionKernel.Best, 1, new SlotRange(48, end), q + (row * size), 1, s1, slots, memory);
                Assert.That(
                    Numbers.Bits(one.AsSpan(0, end - 48)), Is.EqualTo(Numbers.Bits(scores.AsSpan((row * slots) + 48 - start, end - 48))), $"row {row} alone");
                values.Accumulate(AttentionKernel.Best, 1, range, w + (row * slots), 1, slots, o1, memory);
                Assert.That(Numbers.Bits(sums), Is.EqualTo(Numbers.Bits(outputs.AsSpan(row * values.Stride, values.Stride))), $"sums of row {row} alone");
            }
        }
    }

    [Test]
    public void ProductsOfRowsHaveTheBitsOfTheirSpecification([Values(8, 16, 40, 128, 256, 1040)] int size, [Values(1, 3, 4, 7, 16)] int count)
    {
        float[] queries = Numbers.Gaussian(3 * size, 1), keys = Numbers.Gaussian(count * size, 2), actual = new float[3 * count];
        fixed (float* q = queries, k = keys, s = actual)
        {
            RowProducts.Multiply(q, 3, k, count, size, s, count);
        }

        float[] expected = [.. Enumerable.Range(0, 3 * count).Select(
            i => Dot(queries.AsSpan(i / count * size, size), keys.AsSpan(i % count * size, size)))];
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
    }

    /// <summary>A channel far larger than the others takes the precision of its block; a rotation gives it to all.</summary>
    [Test]
    public void RotationsHelpWhereAChannelIsLarge()
    {
        const int size = 128, slots = 64;
        float[] rows = Numbers.Gaussian(slots * size, 1), query = Numbers.Gaussian(size, 2);
        for (int slot = 0; slot < slots; slot++)
        {
            rows[(slot * size) + 5] *= 40;
        }

        query[5] = 0;
        double[] errors = [.. ((CacheFormat[])[CacheFormat.Q4_0, CacheFormat.Q4_0.WithRotation()]).Select(format =>
        {
            using KeyStore keys = format.CreateKeys(1, size);
            keys.Reserve(slots);
            float[] copy = [.. rows], prepared = [.. query], scores = new float[slots], scratch = new float[keys.ScratchLength];
            fixed (float* x = copy, q = prepared, s = scores, memory = scratch)
            {
                for (int slot = 0; slot < slots; slot++)
                {
                    keys.Store(0, slot, x + (slot * size));
                }

                keys.PrepareQueries(q, 1);
                keys.Score(AttentionKernel.Best, 0, new SlotRange(0, slots), q, 1, s, slots, memory);
            }

            return scores.Select((score, slot) => Math.Pow(score - Dot(query, rows.AsSpan(slot * size, size)), 2)).Average();
        })];
        Assert.That(errors[1], Is.LessThan(errors[0] * 0.7));
    }

    [Test]
    public void RotatedFormatsAreOneAndSayWhatTheyAre()
    {
        CacheFormat rotated = CacheFormat.Q4_0.WithRotation();
        Assert.That(rotated, Is.SameAs(CacheFormat.Q4_0.WithRotation()).And.SameAs(rotated.WithRotation()));
        Assert.That(rotated.Name, Is.EqualTo("rotated q4_0"));
        Assert.That(CacheFormat.F16.WithRotation(), Is.SameAs(CacheFormat.F16));
        Assert.That(CacheFormat.Polar.WithRotation(), Is.SameAs(CacheFormat.Polar));
        Assert.That(CacheFormat.All, Has.All.Matches<CacheFormat>(format => format!.GetKeyByteCount(64) > 0 && format.GetValueByteCount(64) > 0));
        Assert.That(CacheFormat.TurboQuantProd(4).GetValueByteCount(128), Is.EqualTo(CacheFormat.TurboQuantMse(4).GetValueByteCount(128)));
        Assert.That(() => CacheFormat.TurboQuantProd(1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => CacheFormat.TurboQuantMse(9), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => CacheFormat.Polar.GetKeyByteCount(24), Throws.ArgumentException.With.Message.Contains("blocks of 16 values"));
        Assert.That(() => CacheFormat.Qjl.GetKeyByteCount(2048), Throws.ArgumentException.With.Message.Contains("1024 values at most"));
    }

    /// <summary>Whole models: near what they are without, nearer with more bits, the same bits on one thread and two.</summary>
    [Test]
    public void ModelsComputeWithThem([ValueSource(nameof(Formats))] string name)
    {
        CacheFormat format = Kinds.Single(candidate => candidate.Name == name);
        float[] expected = Run(CacheFormat.F32, 2), actual = Run(format, 2);
        Assert.That(Numbers.Nmse(actual, expected), Is.Positive.And.LessThan(0.7));
        Assert.That(Numbers.Bits(Run(format, 1)), Is.EqualTo(Numbers.Bits(actual)));
    }

    /// <summary>Sixteen lanes, in runs of 1024 values, added as a tree.</summary>
    private static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        float total = 0;
        for (int start = 0; start < x.Length; start += 1024)
        {
            float[] lanes = new float[16];
            for (int i = start; i < Math.Min(x.Length, start + 1024); i++)
            {
                lanes[i % 16] = float.FusedMultiplyAdd(x[i], y[i], lanes[i % 16]);
            }

            for (int half = 8; half > 0; half /= 2)
            {
                for (int i = 0; i < half; i++)
                {
                    lanes[i] += lanes[i + half];
                }
            }

            total += lanes[0];
        }

        return total;
    }

    private float[] Run(CacheFormat format, int threads)
    {
        using LanguageModel model = _models.Load(
            "qwen3", new ModelOptions { ChunkSize = 24, Cache = CacheOptions.Uniform(format), Matmul = new MatmulOptions { MaxDegreeOfParallelism = threads } });
        using KeyValueCache cache = model.CreateCache();
        return RandomModels.Logits(model, cache, Prompt);
    }
}
