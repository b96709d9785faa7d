using System.Buffers;
using System.Numerics.Tensors;

namespace KQuant.Codecs.Encoders;

/// <summary>
/// <see cref="EncodeMode.Best"/>: starts from what ggml's encoders give, searches further, and keeps the better block. Which is better is
/// measured on the decoded weights, so the result is never worse than the start, whatever a search does.
/// </summary>
internal static class BestEncoder
{
    // Importance is scaled to at most 1; this much is added so that weights without importance still break ties.
    private const float LeastWeight = 1e-6f;

    /// <summary>Encodes one row.</summary>
    /// <param name="row">The weights.</param>
    /// <param name="importance">Importance of each; empty when all errors count the same.</param>
    /// <param name="destination">The blocks of the row.</param>
    public static void Encode<TBlock>(ReadOnlySpan<float> row, ReadOnlySpan<float> importance, Span<TBlock> destination)
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        float[] weightBuffer = ArrayPool<float>.Shared.Rent(row.Length);
        Span<float> weights = weightBuffer.AsSpan(0, row.Length);
        if (importance.IsEmpty)
        {
            weights.Fill(1);
            TBlock.EncodePlain(row, destination);
            KeepBetterUnweighted(row, weights, destination);
        }
        else
        {
            Normalize(importance, weights);
            TBlock.EncodeWeighted(row, importance, destination);
        }

        int size = TBlock.WeightsPerBlock;
        for (int b = 0; b < destination.Length; b++)
        {
            if (destination[b].IsFinite)
            {
                ReadOnlySpan<float> x = row.Slice(b * size, size);
                ReadOnlySpan<float> w = weights.Slice(b * size, size);
                TBlock refined = TBlock.Refine(x, w, destination[b]);
                KeepBetter(x, w, importance.IsEmpty ? w : importance.Slice(b * size, size), refined, ref destination[b]);
            }
        }

        ArrayPool<float>.Shared.Return(weightBuffer);
    }

    /// <summary>Without importance, ggml's weighted search fed with ones beats its plain encoder on nearly every block.</summary>
    private static void KeepBetterUnweighted<TBlock>(ReadOnlySpan<float> row, ReadOnlySpan<float> ones, Span<TBlock> destination)
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        TBlock[] buffer = ArrayPool<TBlock>.Shared.Rent(destination.Length);
        Span<TBlock> others = buffer.AsSpan(0, destination.Length);
        TBlock.EncodeWeighted(row, ones, others);
        int size = TBlock.WeightsPerBlock;
        for (int b = 0; b < destination.Length; b++)
        {
            KeepBetter(row.Slice(b * size, size), ones[..size], ones[..size], others[b], ref destination[b]);
        }

        ArrayPool<TBlock>.Shared.Return(buffer);
    }

    private static void Normalize(ReadOnlySpan<float> importance, Span<float> weights)
    {
        float max = TensorPrimitives.Max(importance);
        if (max == 0)
        {
            weights.Fill(1);
            return;
        }

        TensorPrimitives.Divide(importance, max, weights);
        TensorPrimitives.Add(weights, LeastWeight, weights);
    }

    private static void KeepBetter<TBlock>(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, in TBlock candidate, ref TBlock block)
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        if (!candidate.IsFinite)
        {
            return;
        }

        (double newError, double newTieBreak) = Error(x, weights, importance, candidate);
        (double error, double tieBreak) = Error(x, weights, importance, block);
        if (newError <= error && newTieBreak < tieBreak)
        {
            block = candidate;
        }
    }

    private static (double Error, double TieBreak) Error<TBlock>(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, in TBlock block)
        where TBlock : unmanaged, IBlockEncoder<TBlock>
    {
        Span<float> decoded = stackalloc float[TBlock.WeightsPerBlock];
        TBlock.Decode(new ReadOnlySpan<TBlock>(in block), decoded);
        double error = 0, tieBreak = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double difference = (double)x[i] - decoded[i];
            error += importance[i] * difference * difference;
            tieBreak += weights[i] * difference * difference;
        }

        return (error, tieBreak);
    }
}
