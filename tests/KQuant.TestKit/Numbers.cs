namespace KQuant.TestKit;

/// <summary>Random vectors and distances between results.</summary>
public static class Numbers
{
    /// <summary>Gaussian values; the same seed gives the same ones.</summary>
    public static float[] Gaussian(int count, int seed)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return values;
    }

    /// <summary>Squared distance to the reference, relative to the reference's squared length.</summary>
    public static double Nmse(ReadOnlySpan<float> actual, ReadOnlySpan<float> reference)
    {
        double error = 0, size = 0;
        for (int i = 0; i < reference.Length; i++)
        {
            error += ((double)actual[i] - reference[i]) * ((double)actual[i] - reference[i]);
            size += (double)reference[i] * reference[i];
        }

        return actual.Length == reference.Length && double.IsFinite(error) ? error / size : double.PositiveInfinity;
    }

    /// <summary>Bit patterns, for comparisons that must be exact.</summary>
    public static int[] Bits(ReadOnlySpan<float> values)
    {
        var bits = new int[values.Length];
        for (int i = 0; i < bits.Length; i++)
        {
            bits[i] = BitConverter.SingleToInt32Bits(values[i]);
        }

        return bits;
    }
}
