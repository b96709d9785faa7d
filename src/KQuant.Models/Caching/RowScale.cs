using System.Numerics.Tensors;
using KQuant.Matmul.Vectors;

namespace KQuant.Models.Caching;

/// <summary>The size of a row, which binary16 holds.</summary>
internal static class RowScale
{
    /// <summary>The largest number of binary16.</summary>
    private const float Largest = 65504;

    /// <summary>Makes what binary16 has no number for the largest that it has.</summary>
    /// <param name="row">Finite values.</param>
    public static void Clamp(Span<float> row)
    {
        if (MathF.Abs(TensorPrimitives.MaxMagnitude((ReadOnlySpan<float>)row)) > Largest)
        {
            TensorPrimitives.Min(row, Largest, row);
            TensorPrimitives.Max(row, -Largest, row);
        }
    }

    /// <summary>Clamps a row and divides it by its root mean square, unless that is 0.</summary>
    /// <param name="row">Finite values.</param>
    /// <returns>What it was divided by, rounded.</returns>
    public static Half Normalize(Span<float> row)
    {
        Clamp(row);
        float scale = MathF.Sqrt(RowMath.Dot(row, row) / row.Length);
        if (scale > 0)
        {
            RowMath.Divide(row, scale, row);
        }

        return (Half)scale;
    }
}
