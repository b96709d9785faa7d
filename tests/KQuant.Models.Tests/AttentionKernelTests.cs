using KQuant.Models.Transformers;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Every attention kernel against the scalar one, for heads of all sizes.</summary>
public unsafe class AttentionKernelTests
{
    private static readonly AttentionKernel Scalar = new ScalarAttentionKernel();

    private static IEnumerable<string> Kernels => AttentionKernel.All.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name);

    [Test]
    public void AgreeWithTheScalarOne([ValueSource(nameof(Kernels))] string name, [Values(1, 2, 15, 16, 33, 48, 64, 80, 96, 128)] int size)
    {
        AttentionKernel kernel = AttentionKernel.All.Single(candidate => candidate.Name == name);
        const int count = 19;
        int stride = (size + 15) / 16 * 16;
        float[] queries = Numbers.Gaussian(4 * size, 1), keys = Numbers.Gaussian(16 * size, 2), values = Numbers.Gaussian(count * stride, 3);
        float[] weights = Numbers.Gaussian(4 * 32, 4), start = Numbers.Gaussian(4 * stride, 5);
        float[] scores = new float[4 * 32], expectedScores = new float[4 * 32];
        float[] outputs = [.. start], expectedOutputs = [.. start];
        fixed (float* q = queries, k = keys, v = values, w = weights, s = scores, es = expectedScores, o = outputs, eo = expectedOutputs)
        {
            kernel.Score(q, size, k, size, s, 32);
            Scalar.Score(q, size, k, size, es, 32);
            kernel.Accumulate(w, 32, v, stride, count, o);
            Scalar.Accumulate(w, 32, v, stride, count, eo);
        }

        Assert.That(scores, Is.EqualTo(expectedScores).Within(1e-4));
        Assert.That(outputs, Is.EqualTo(expectedOutputs).Within(1e-4));
    }
}
