namespace KQuant.Codecs.Encoders;

/// <summary>How much an error at each weight counts in a search.</summary>
internal static class ErrorWeights
{
    /// <summary>Sum of squares, in index order.</summary>
    public static float SumOfSquares(ReadOnlySpan<float> x)
    {
        float sum = 0;
        foreach (float value in x)
        {
            sum += value * value;
        }

        return sum;
    }

    /// <summary>Sum, in index order.</summary>
    public static float Sum(ReadOnlySpan<float> x)
    {
        float sum = 0;
        foreach (float value in x)
        {
            sum += value;
        }

        return sum;
    }

    /// <summary><c>importance * sqrt(power + x * x)</c>: what the <c>_impl</c> encoders of ggml use with an importance matrix.</summary>
    public static void FromImportance(ReadOnlySpan<float> x, ReadOnlySpan<float> importance, float power, Span<float> weights)
    {
        for (int i = 0; i < x.Length; i++)
        {
            weights[i] = importance[i] * MathF.Sqrt(power + (x[i] * x[i]));
        }
    }

    /// <summary><c>x * x</c>: large values must be right.</summary>
    public static void Squares(ReadOnlySpan<float> x, Span<float> weights)
    {
        for (int i = 0; i < x.Length; i++)
        {
            weights[i] = x[i] * x[i];
        }
    }

    /// <summary><c>offset + |x|</c>.</summary>
    public static void Magnitudes(ReadOnlySpan<float> x, float offset, Span<float> weights)
    {
        for (int i = 0; i < x.Length; i++)
        {
            weights[i] = offset + MathF.Abs(x[i]);
        }
    }

    /// <summary>The weighted squared error of decoded weights.</summary>
    public static double SquaredError(ReadOnlySpan<float> x, ReadOnlySpan<float> decoded, ReadOnlySpan<float> weights)
    {
        double error = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double difference = (double)x[i] - decoded[i];
            error += weights[i] * difference * difference;
        }

        return error;
    }
}
