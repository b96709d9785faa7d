using System.Numerics.Tensors;

namespace KQuant.Models;

/// <summary>One direction for a text: the mean of the hidden states after the last norm over all its tokens.</summary>
internal static class TextEmbedder
{
    /// <summary>Embeds a text.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">The text; without tokens it has no direction, and all numbers are 0.</param>
    /// <param name="dimensions">How many of the model's dimensions, the first ones.</param>
    /// <param name="cache">A cache of the model, whose content is lost.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <returns>A vector of length 1.</returns>
    /// <exception cref="ContextLengthException">The text is longer than the context.</exception>
    public static float[] Embed(LanguageModel model, ReadOnlySpan<int> tokens, int dimensions, KeyValueCache cache, CancellationToken cancellation)
    {
        int width = model.Config.HiddenSize, chunk = model.Runner.ChunkSize;
        if (tokens.Length > cache.ContextLength)
        {
            throw new ContextLengthException(tokens.Length, cache.ContextLength);
        }

        cache.Clear();
        var mean = new float[width];
        var hidden = new float[Math.Min(chunk, tokens.Length) * width];
        for (int start = 0; start < tokens.Length; start += chunk)
        {
            int count = Math.Min(chunk, tokens.Length - start);
            model.ForwardHidden(tokens.Slice(start, count), cache, hidden.AsSpan(0, count * width), cancellation);
            for (int row = 0; row < count; row++)
            {
                TensorPrimitives.Add(mean, hidden.AsSpan(row * width, width), mean);
            }
        }

        if (dimensions < width)
        {
            Array.Resize(ref mean, dimensions);
        }

        float norm = TensorPrimitives.Norm<float>(mean);
        TensorPrimitives.Divide(mean, norm > 0 ? norm : 1, mean);
        return mean;
    }
}
