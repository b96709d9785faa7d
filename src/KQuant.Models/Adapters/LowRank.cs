using KQuant.Matmul.Vectors;

namespace KQuant.Models.Adapters;

/// <summary>Rows of a weight and a low-rank term together, in one order of additions on every machine.</summary>
internal static class LowRank
{
    /// <summary>Adds a row of <c>s B A</c>.</summary>
    /// <param name="a">A, [rank, inputs].</param>
    /// <param name="b">The row of B, [rank].</param>
    /// <param name="scale">s.</param>
    /// <param name="row">The row of the weight, [inputs].</param>
    public static void AddRow(ReadOnlySpan<float> a, ReadOnlySpan<float> b, float scale, Span<float> row)
    {
        for (int k = 0; k < b.Length; k++)
        {
            RowMath.AddScaled(a.Slice(k * row.Length, row.Length), scale * b[k], row);
        }
    }

    /// <summary>What a row is multiplied with to have a length; 0 if it has none.</summary>
    public static float FactorOf(ReadOnlySpan<float> row, float length)
    {
        float norm = MathF.Sqrt(RowMath.Dot(row, row));
        return norm > 0 ? length / norm : 0;
    }
}
