using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Models.Caching.Kernels;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Every attention kernel against the scalar one, for heads of all sizes.</summary>
public unsafe class AttentionKernelTests
{
    private static readonly AttentionKernel Scalar = new ScalarAttentionKernel(scalesHalves: false);

    private static IEnumerable<string> Elements => Enum.GetNames<CacheElement>();

    private static IEnumerable<string> Kernels => AttentionKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [Test]
    public void AgreeWithTheScalarOne(
        [ValueSource(nameof(Kernels))] string name,
        [Values(1, 2, 15, 16, 33, 48, 64, 80, 96, 128)] int size,
        [Values(1, 2, 4, 6, 9)] int rows,
        [ValueSource(nameof(Elements))] string elementName)
    {
        CacheElement element = Enum.Parse<CacheElement>(elementName);
        AttentionKernel kernel = Get(name);
        const int count = 19, blocks = 3, slots = 48;
        int stride = (size + 15) / 16 * 16;
        float[] queries = Numbers.Gaussian(rows * size, 1), weights = Numbers.Gaussian(rows * 32, 4), start = Numbers.Gaussian(rows * stride, 5);
        byte[] keys = Store(Numbers.Gaussian(slots * size, 2), element), values = Store(Numbers.Gaussian(count * stride, 3), element);
        float[] scores = new float[rows * 64], expectedScores = new float[rows * 64];
        float[] outputs = [.. start], expectedOutputs = [.. start];
        fixed (float* q = queries, w = weights, s = scores, es = expectedScores, o = outputs, eo = expectedOutputs)
        fixed (byte* k = keys, v = values)
        {
            kernel.Score(q, rows, new CacheSpan(k, element), blocks, size, s, 64);
            Scalar.Score(q, rows, new CacheSpan(k, element), blocks, size, es, 64);
            kernel.Accumulate(w, rows, 32, new CacheSpan(v, element), stride, count, o);
            Scalar.Accumulate(w, rows, 32, new CacheSpan(v, element), stride, count, eo);
        }

        Assert.That(scores, Is.EqualTo(expectedScores).Within(1e-4));
        Assert.That(outputs, Is.EqualTo(expectedOutputs).Within(1e-4));
    }

    /// <summary>A row has the same bits alone and beside others, with one block and with several, by either way to binary16, and widened before.</summary>
    [Test]
    public void BitsDependOnNothingButTheRow([ValueSource(nameof(Kernels))] string name, [Values(33, 64, 128)] int size, [ValueSource(nameof(Elements))] string elementName)
    {
        CacheElement element = Enum.Parse<CacheElement>(elementName);
        AttentionKernel kernel = Get(name);
        const int rows = 6, blocks = 5, slots = 80;
        int stride = (size + 15) / 16 * 16;
        float[] queries = Numbers.Gaussian(rows * size, 1), weights = Numbers.Gaussian(rows * slots, 4);

        // Some that binary16 has only subnormal numbers for.
        float[] keyValues = [.. Numbers.Gaussian(slots * size, 2).Select((value, i) => i % 7 == 0 ? value * 1e-5f : value)];
        byte[] keys = Store(keyValues, element), values = Store(Numbers.Gaussian(slots * stride, 3), element);
        float[] all = new float[rows * slots], one = new float[slots], outputs = new float[rows * stride], output = new float[stride];
        float[] scaledQueries = [.. queries.Select(query => query * AttentionKernel.HalfScale)], scaledWeights = [.. weights.Select(weight => weight * AttentionKernel.HalfScale)];
        float[] scaled = new float[rows * slots], scaledOutputs = new float[rows * stride], wide = new float[slots * size], widened = new float[rows * slots];
        fixed (float* q = queries, w = weights, a = all, o = outputs, r = one, ro = output, x = wide, xs = widened)
        fixed (float* sq = scaledQueries, sw = scaledWeights, s = scaled, so = scaledOutputs)
        fixed (byte* k = keys, v = values)
        {
            kernel.Score(q, rows, new CacheSpan(k, element), blocks, size, a, slots);
            kernel.Accumulate(w, rows, slots, new CacheSpan(v, element), stride, slots, o);
            kernel.Widen(new CacheSpan(k, element), slots * size, x);
            kernel.Score(q, rows, new CacheSpan(x, CacheElement.Single), blocks, size, xs, slots);
            Assert.That(Numbers.Bits(widened), Is.EqualTo(Numbers.Bits(all)), "widened");
            bool isHalf = element == CacheElement.Half;
            kernel.OfScaledHalves.Score(isHalf ? sq : q, rows, new CacheSpan(k, element), blocks, size, s, slots);
            kernel.OfScaledHalves.Accumulate(isHalf ? sw : w, rows, slots, new CacheSpan(v, element), stride, slots, so);
            Assert.That(Numbers.Bits(scaled), Is.EqualTo(Numbers.Bits(all)), "scaled");
            Assert.That(Numbers.Bits(scaledOutputs), Is.EqualTo(Numbers.Bits(outputs)), "scaled");
            for (int row = 0; row < rows; row++)
            {
                for (int block = 0; block < blocks; block++)
                {
                    kernel.Score(
                        q + (row * size), 1, new CacheSpan(k + (block * 16 * size * element.GetSize()), element), 1, size, r + (block * 16), slots);
                }

                output.AsSpan().Clear();
                kernel.Accumulate(w + (row * slots), 1, slots, new CacheSpan(v, element), stride, 33, ro);
                kernel.Accumulate(
                    w + (row * slots) + 33, 1, slots, new CacheSpan(v + (33 * stride * element.GetSize()), element), stride, slots - 33, ro);
                Assert.That(Numbers.Bits(one), Is.EqualTo(Numbers.Bits(all.AsSpan(row * slots, slots))), $"row {row}");
                Assert.That(Numbers.Bits(output), Is.EqualTo(Numbers.Bits(outputs.AsSpan(row * stride, stride))), $"row {row}");
            }
        }
    }

    [Test]
    public void EveryNumberOfSixteenBitsIsLoadedExactly([ValueSource(nameof(Kernels))] string name)
    {
        AttentionKernel kernel = Get(name);
        ushort[] all = [.. Enumerable.Range(0, 65_536).Select(bits => (ushort)bits)];
        float[] halves = new float[all.Length], scaled = new float[all.Length], bfloats = new float[all.Length];
        fixed (ushort* source = all)
        fixed (float* h = halves, s = scaled, b = bfloats)
        {
            kernel.Widen(new CacheSpan(source, CacheElement.Half), all.Length, h);
            kernel.OfScaledHalves.Widen(new CacheSpan(source, CacheElement.Half), all.Length, s);
            kernel.Widen(new CacheSpan(source, CacheElement.BFloat16), all.Length, b);
        }

        Assert.That(halves, Is.EqualTo(all.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits))));
        Assert.That(bfloats, Is.EqualTo(all.Select(bits => (float)new BFloat16(bits))));
        Assert.That(
            all.Where(bits => Half.IsFinite(BitConverter.UInt16BitsToHalf(bits))).Select(bits => BitConverter.SingleToInt32Bits(scaled[bits] * AttentionKernel.HalfScale)),
            Is.EqualTo(
                all.Select(BitConverter.UInt16BitsToHalf).Where(Half.IsFinite).Select(half => BitConverter.SingleToInt32Bits((float)half))));
    }

    private static AttentionKernel Get(string name) => AttentionKernel.All.Single(candidate => candidate.Name == name);

    private static byte[] Store(float[] values, CacheElement element) => element switch
    {
        CacheElement.Single => MemoryMarshal.AsBytes(values.AsSpan()).ToArray(),
        CacheElement.Half => MemoryMarshal.AsBytes(Array.ConvertAll(values, value => (Half)value).AsSpan()).ToArray(),
        _ => MemoryMarshal.AsBytes(Array.ConvertAll(values, value => (BFloat16)value).AsSpan()).ToArray(),
    };
}
