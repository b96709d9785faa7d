using KQuant.Matmul.Vectors;

namespace KQuant.Models.Computing;

/// <summary>From logits to logarithms of probabilities.</summary>
internal static class LogSoftmax
{
    /// <summary><c>l - log(sum(exp(l)))</c>.</summary>
    public static void Compute(ReadOnlySpan<float> logits, Span<float> logarithms)
    {
        RowMath.Subtract(logits, RowMath.Max(logits), logarithms);
        RowMath.Subtract(logarithms, (float)Math.Log(RowMath.SumOfExponentials(logarithms)), logarithms);
    }
}
