using KQuant.Codecs;
using KQuant.Models.Configuration;

namespace KQuant.Models.Adapters;

/// <summary>The same function with other matrices, as formats need it.</summary>
internal static class AdapterShaping
{
    /// <summary>A larger rank: A gets rows and B columns of zeros.</summary>
    public static LoraWeight Pad(LoraWeight weight, int rank)
    {
        if (weight.Rank == rank)
        {
            return weight;
        }

        float[] a = new float[weight.Matrices * rank * weight.Inputs], b = new float[weight.Matrices * weight.Outputs * rank];
        int small = weight.Rank * weight.Inputs;
        for (int matrix = 0; matrix < weight.Matrices; matrix++)
        {
            weight.A.Span.Slice(matrix * small, small).CopyTo(a.AsSpan(matrix * rank * weight.Inputs));
        }

        for (int row = 0; row < weight.Matrices * weight.Outputs; row++)
        {
            weight.B.Span.Slice(row * weight.Rank, weight.Rank).CopyTo(b.AsSpan(row * rank));
        }

        return Create(weight, a, b, rank, weight.Scale, weight.Codec);
    }

    /// <summary>Another scale, with B changed in its place; the numbers are rounded.</summary>
    public static LoraWeight Rescale(LoraWeight weight, float scale)
    {
        if (weight.Scale == scale)
        {
            return weight;
        }

        float[] b = weight.B.ToArray();
        for (int i = 0; i < b.Length; i++)
        {
            b[i] = (float)((double)b[i] * weight.Scale / scale);
        }

        return Create(weight, weight.A.ToArray(), b, weight.Rank, scale, QuantCodec.Get(QuantFormat.F32));
    }

    /// <summary>The rows of queries and keys as GGUF files of the architecture have them, or as checkpoints do.</summary>
    public static LoraWeight Reorder(LoraWeight weight, bool asInGguf, int headSize)
    {
        if (weight.HasGgufRows == asInGguf || !AdapterNames.IsRotated(weight.Name))
        {
            return weight;
        }

        float[] b = Reorder(weight.B.Span, weight.Rank, asInGguf, headSize);
        float[] magnitude = Reorder(weight.Magnitude.Span, 1, asInGguf, headSize);
        return Create(weight, weight.A.ToArray(), b, weight.Rank, weight.Scale, weight.Codec, asInGguf, magnitude);
    }

    /// <summary>Rows in the order of GGUF files or of checkpoints, from the other.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="width">Values of each.</param>
    /// <param name="toGguf">Whether the result is in the order of GGUF files.</param>
    /// <param name="headSize">Rows of a head.</param>
    public static float[] Reorder(ReadOnlySpan<float> rows, int width, bool toGguf, int headSize)
    {
        var values = new float[rows.Length];
        for (int row = 0; row < rows.Length / width; row++)
        {
            int inCheckpoint = (int)RotaryRows.ToCheckpoint(row, headSize);
            (int from, int to) = toGguf ? (inCheckpoint, row) : (row, inCheckpoint);
            rows.Slice(from * width, width).CopyTo(values.AsSpan(to * width));
        }

        return values;
    }

    private static LoraWeight Create(
        LoraWeight weight, float[] a, float[] b, int rank, float scale, QuantCodec codec, bool? hasGgufRows = null, float[]? magnitude = null)
    {
        long[] front = weight.IsStack ? [weight.Matrices] : [];
        magnitude ??= weight.Magnitude.ToArray();
        return new LoraWeight(
            weight.Name,
            new AdapterMatrix(weight.Name, [.. front, rank, weight.Inputs], a, codec),
            new AdapterMatrix(weight.Name, [.. front, weight.Outputs, rank], b, codec),
            scale,
            magnitude.Length == 0 ? null : new AdapterMatrix(weight.Name, [magnitude.Length], magnitude, codec))
        {
            HasGgufRows = hasGgufRows ?? weight.HasGgufRows,
            OnlyLooksUp = weight.OnlyLooksUp,
        };
    }
}
