using System.Numerics.Tensors;

namespace KQuant.Models.Computing;

/// <summary>From logits to logarithms of probabilities.</summary>
internal static class LogSoftmax
{
    private const int Segment = 1024;

    /// <summary><c>l - log(sum(exp(l)))</c>.</summary>
    public static void Compute(ReadOnlySpan<float> logits, Span<float> logarithms)
    {
        float max = TensorPrimitives.Max(logits);
        TensorPrimitives.Subtract(logits, max, logarithms);
        Span<float> work = stackalloc float[Segment];
        double sum = 0;
        for (int start = 0; start < logarithms.Length; start += Segment)
        {
            ReadOnlySpan<float> part = logarithms.Slice(start, Math.Min(Segment, logarithms.Length - start));
            TensorPrimitives.Exp(part, work);
            sum += TensorPrimitives.Sum<float>(work[..part.Length]);
        }

        TensorPrimitives.Subtract(logarithms, (float)Math.Log(sum), logarithms);
    }
}
