namespace KQuant.TestKit;

/// <summary>A matrix of weights to encode, and an importance of its columns.</summary>
public sealed record SampleWeights(int Columns, float[] Weights, float[] Importance)
{
    /// <summary>
    /// 256 rows of 512 normal weights of deviation 0.1, importance |normal| + 0.1; the data behind published fingerprints.
    /// </summary>
    public static SampleWeights SetA { get; } = MakeSetA();

    /// <summary>4096 weights <c>0.1 + 2 cos(i)</c>: the data of ggml's test-quantize-fns.</summary>
    public static float[] Cosines { get; } = [.. Enumerable.Range(0, 4096).Select(i => 0.1f + (2 * MathF.Cos(i)))];

    private static SampleWeights MakeSetA()
    {
        var random = new NumpyRandom(7);
        float[] weights = random.NextNormals(256 * 512, 0.1f);
        float[] importance = random.NextNormals(512);
        for (int i = 0; i < importance.Length; i++)
        {
            importance[i] = Math.Abs(importance[i]) + 0.1f;
        }

        return new SampleWeights(512, weights, importance);
    }
}
