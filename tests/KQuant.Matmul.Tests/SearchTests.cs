using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Searching among quantized vectors.</summary>
public class SearchTests
{
    private const int Rows = 3000, Columns = 256;

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.All;

    [Test]
    public void ScoresOfRowsAreThoseOfTheProduct(
        [ValueSource(nameof(Codecs))] QuantCodec codec, [Values] ActivationPrecision activations, [Values(1, 3)] int threads)
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = threads });
        QuantizedTensor rows = RandomTensors.Create(codec, new QuantShape(Rows, Columns), 1);
        float[] query = Numbers.Gaussian(Columns, 2), all = new float[Rows];
        using MatmulContext same = new(new MatmulOptions { MaxDegreeOfParallelism = threads, Activations = activations });
        QuantizedMatmul.Multiply(rows, query, all, same);
        var random = new Random(3);
        long[] ids = [0, Rows - 1, 7, 7, .. Enumerable.Range(0, 900).Select(_ => random.NextInt64(Rows))];
        float[] scores = new float[ids.Length];

        QuantizedMatmul.Dot(rows, ids, query, scores, context, activations);

        Assert.That(scores, Is.EqualTo(ids.Select(id => all[id])));
    }

    [Test]
    public void TheBestRowsAreFoundInOrder([Values(1, 5)] int queries, [Values(1, 10, 4000)] int k, [Values] ActivationPrecision activations)
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 2, Activations = activations });
        QuantizedTensor rows = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(Rows, Columns), 1);
        float[] x = Numbers.Gaussian(queries * Columns, 2);
        long[] ids = new long[queries * k];
        float[] scores = new float[queries * k];

        QuantizedMatmul.TopK(rows, x, k, ids, scores, context);

        for (int q = 0; q < queries; q++)
        {
            float[] all = new float[Rows];
            QuantizedMatmul.Dot(rows, [.. Enumerable.Range(0, Rows).Select(id => (long)id)], x.AsSpan(q * Columns, Columns), all, context);
            long[] expected = [.. Enumerable.Range(0, Rows).OrderByDescending(id => all[id]).ThenBy(id => id).Take(k).Select(id => (long)id)];
            long[] found = ids[(q * k)..((q + 1) * k)];
            Assert.That(found.Skip(expected.Length), Is.All.EqualTo(-1));
            Assert.That(scores[((q * k) + expected.Length)..((q + 1) * k)], Is.All.EqualTo(float.NegativeInfinity));

            // Products of several rows may add in another order, so that neighbours whose scores are nearly equal may change places.
            Assert.That(found.Take(expected.Length).Select(id => all[id]), Is.EqualTo(expected.Select(id => all[id])).Within(1e-4));
            Assert.That(scores[(q * k)..((q * k) + expected.Length)], Is.Ordered.Descending);
        }
    }

    [Test]
    public void OfEqualScoresTheFirstRowIsFirst()
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        float[] weights = [.. Enumerable.Range(0, 20).SelectMany(row => Enumerable.Repeat(row % 4 == 3 ? 1f : 0f, 32))];
        using QuantizedTensor rows = QuantizedTensor.Encode(QuantCodec.Get(QuantFormat.Q8_0), new QuantShape(20, 32), weights);
        long[] ids = new long[3];
        float[] scores = new float[3];

        QuantizedMatmul.TopK(rows, Enumerable.Repeat(1f, 32).ToArray(), 3, ids, scores, context);

        Assert.That(ids, Is.EqualTo([3, 7, 11]));
        Assert.That(scores, Is.All.EqualTo(scores[0]));
    }

    [Test]
    public void WhatIsNotANumberIsNotFound()
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 1, Activations = ActivationPrecision.Float32 });
        using QuantizedTensor rows = QuantizedTensor.Encode(QuantCodec.Get(QuantFormat.F32), new QuantShape(2, 32), new float[64]);
        long[] ids = new long[1];
        float[] scores = new float[1];

        QuantizedMatmul.TopK(rows, Enumerable.Repeat(float.NaN, 32).ToArray(), 1, ids, scores, context);

        Assert.That((ids[0], scores[0]), Is.EqualTo((-1L, float.NegativeInfinity)));
    }

    [Test]
    public void AmongManyScoresOnlyNumbersCount([Values(1, 3, 50)] int k, [Values(1, 9, 5000)] int count)
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 1, Activations = ActivationPrecision.Float32 });
        var random = new Random(4);
        float[] values = [.. Enumerable.Range(0, count).Select(_ => random.Next(4) == 0 ? float.NaN : random.Next(-50, 50) / 4f)];
        byte[] weights = [.. values.SelectMany(value => Enumerable.Repeat(0f, 31).Prepend(value)).SelectMany(BitConverter.GetBytes)];
        using QuantizedTensor rows = QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), new QuantShape(count, 32), weights);
        long[] ids = new long[k];

        QuantizedMatmul.TopK(rows, [1, .. new float[31]], k, ids, new float[k], context);

        IEnumerable<long> expected = Enumerable.Range(0, count).Where(id => !float.IsNaN(values[id])).OrderByDescending(id => values[id]).ThenBy(id => id)
            .Select(id => (long)id).Concat(Enumerable.Repeat(-1L, k)).Take(k);
        Assert.That(ids, Is.EqualTo(expected));
    }

    [Test]
    public void Arguments()
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        QuantizedTensor rows = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(4, 32), 1);
        float[] query = new float[32];
        Assert.That(
            () => QuantizedMatmul.Dot(rows, [0, 4], query, new float[2], context),
            Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.StartsWith("ids[1] is 4; there are 4 rows."));
        Assert.That(() => QuantizedMatmul.Dot(rows, [-1], query, new float[1], context), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => QuantizedMatmul.Dot(rows, [1], query, new float[2], context), Throws.ArgumentException);
        Assert.That(() => QuantizedMatmul.Dot(rows, [1], new float[31], new float[1], context), Throws.ArgumentException);
        Assert.That(() => QuantizedMatmul.TopK(rows, query, 0, [], [], context), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => QuantizedMatmul.TopK(rows, query, 2, new long[1], new float[2], context), Throws.ArgumentException);
        Assert.That(() => QuantizedMatmul.TopK(rows, new float[33], 1, new long[1], new float[1], context), Throws.ArgumentException);
        QuantizedMatmul.Dot(rows, [], query, [], context);
    }

    [Test]
    public void MoreRowsThanCanBeNumberedAreRefused()
    {
        // Rows of no columns take no memory.
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        using var rows = QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), new QuantShape(1L + int.MaxValue, 0), default);
        Assert.That(
            () => QuantizedMatmul.Dot(rows, [int.MaxValue], [], new float[1], context),
            Throws.ArgumentException.With.Message.StartsWith("There are 2147483648 rows; at most 2147483647 are searched at once."));
    }

    [Test]
    public void NothingIsAllocatedForAQuery()
    {
        using MatmulContext context = new(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        QuantizedTensor rows = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(Rows, Columns), 1);
        float[] query = Numbers.Gaussian(Columns, 2), scores = new float[10];
        long[] ids = new long[10];
        long allocated = Allocations.LeastOf(() =>
        {
            QuantizedMatmul.TopK(rows, query, 10, ids, scores, context);
            QuantizedMatmul.Dot(rows, ids, query, scores, context);
        });

        Assert.That(allocated, Is.Zero);
    }
}
