namespace KQuant.Arm64.Tests;

/// <summary>Comparisons of many numbers that name the first one that differs.</summary>
internal static class Same
{
    /// <summary>The same bits; any NaN is as good as another, because processors make their own.</summary>
    public static void Bits(float[] actual, float[] expected, Func<int, string> describe)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(actual[i]) != BitConverter.SingleToInt32Bits(expected[i])
                && !(float.IsNaN(actual[i]) && float.IsNaN(expected[i])))
            {
                Assert.Fail($"{describe(i)}: {actual[i]:R}, scalar says {expected[i]:R}.");
            }
        }
    }

    /// <summary>The same within a millionth of the terms that a number is the sum of.</summary>
    public static void WithinRounding(float[] actual, float[] expected, double[] terms, Func<int, string> describe)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            bool agrees = Math.Abs((double)actual[i] - expected[i]) <= 1e-6 * terms[i];
            if (!agrees && !(float.IsNaN(actual[i]) && float.IsNaN(expected[i])))
            {
                Assert.Fail($"{describe(i)}: {actual[i]:R}, scalar says {expected[i]:R}.");
            }
        }
    }
}
