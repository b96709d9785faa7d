using System.Runtime.InteropServices;
using KQuant.Models.Caching.Kernels;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Every attention kernel against the scalar one, for heads of all sizes.</summary>
public unsafe class AttentionKernelTests
{
    private static readonly AttentionKernel Scalar = new ScalarAttentionKernel();

    private static IEnumerable<string> Kernels => AttentionKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [Test]
    public void AgreeWithTheScalarOne(
        [ValueSource(nameof(Kernels))] string name,
        [Values(1, 2, 15, 16, 33, 48, 64, 80, 96, 128)] int size,
        [Values(1, 2, 4)] int rows,
        [Values] bool halves)
    {
        CacheElement element = halves ? CacheElement.Half : CacheElement.Single;
        AttentionKernel kernel = AttentionKernel.All.Single(candidate => candidate.Name == name);
        const int count = 19;
        int stride = (size + 15) / 16 * 16;
        float[] queries = Numbers.Gaussian(rows * size, 1), weights = Numbers.Gaussian(rows * 32, 4), start = Numbers.Gaussian(rows * stride, 5);
        byte[] keys = Store(Numbers.Gaussian(16 * size, 2), element), values = Store(Numbers.Gaussian(count * stride, 3), element);
        float[] scores = new float[rows * 32], expectedScores = new float[rows * 32];
        float[] outputs = [.. start], expectedOutputs = [.. start];
        fixed (float* q = queries, w = weights, s = scores, es = expectedScores, o = outputs, eo = expectedOutputs)
        fixed (byte* k = keys, v = values)
        {
            kernel.Score(q, rows, new CacheSpan(k, element), size, s, 32);
            Scalar.Score(q, rows, new CacheSpan(k, element), size, es, 32);
            kernel.Accumulate(w, rows, 32, new CacheSpan(v, element), stride, count, o);
            Scalar.Accumulate(w, rows, 32, new CacheSpan(v, element), stride, count, eo);
        }

        Assert.That(scores, Is.EqualTo(expectedScores).Within(1e-4));
        Assert.That(outputs, Is.EqualTo(expectedOutputs).Within(1e-4));
    }

    [Test]
    public void EveryHalfIsLoadedExactly([ValueSource(nameof(Kernels))] string name)
    {
        AttentionKernel kernel = AttentionKernel.All.Single(candidate => candidate.Name == name);
        Half[] halves = [.. Enumerable.Range(0, 65_536).Select(bits => BitConverter.UInt16BitsToHalf((ushort)bits))];
        var scores = new float[16];
        float one = 1;
        fixed (Half* source = halves)
        fixed (float* target = scores)
        {
            for (int start = 0; start < halves.Length; start += 16)
            {
                kernel.Score(&one, 1, new CacheSpan(source + start, CacheElement.Half), 1, target, 16);
                Assert.That(scores, Is.EqualTo(halves[start..(start + 16)].Select(half => (float)half)), $"from {start:x4} on");
            }
        }
    }

    private static byte[] Store(float[] values, CacheElement element) => element == CacheElement.Single
        ? MemoryMarshal.AsBytes(values.AsSpan()).ToArray()
        : MemoryMarshal.AsBytes(Array.ConvertAll(values, value => (Half)value).AsSpan()).ToArray();
}
