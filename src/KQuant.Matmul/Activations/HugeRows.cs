using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Activations;

/// <summary>
/// Rows with activations near the largest floats. Kernels add up in orders of their own, and some add offsets apart from products: what cancels
/// out in the end might overflow before it does. Such rows are multiplied a power of two smaller, and their results are made larger by it, so that
/// every kernel gives a number where the sum is one, and an infinity where it is none.
/// </summary>
internal static unsafe class HugeRows
{
    /// <summary>
    /// No sum overflows below: a unit of integers is at most 2^28, a factor of weights 2^16, and 2^128 is the end of the floats, so that 2^20 units
    /// fit into a row.
    /// </summary>
    private const float Limit = 18446744073709551616f;

    /// <summary>Makes the scales of a row smaller if one of them is huge.</summary>
    /// <param name="view">Where the quantized row is.</param>
    /// <param name="row">Which row of the view.</param>
    /// <returns>What the results of the row are to be multiplied by; 1 for ordinary rows.</returns>
    public static float Reduce(in ActivationView view, nint row)
    {
        float* scales = view.RowScales(row);
        int count = view.Units * view.ScalesPerUnit;
        if (!IsHuge(scales, count))
        {
            return 1;
        }

        for (int i = 0; i < count; i++)
        {
            scales[i] /= Limit;
        }

        return Limit;
    }

    /// <summary>Gives results of a row their size.</summary>
    /// <param name="results">The results.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="size">What <see cref="Reduce"/> returned.</param>
    public static void Restore(float* results, int count, float size)
    {
        if (size == 1)
        {
            return;
        }

        for (int i = 0; i < count; i++)
        {
            results[i] *= size;
        }
    }

    private static bool IsHuge(float* scales, int count)
    {
        int i = 0;
        for (; i <= count - Vector128<float>.Count; i += Vector128<float>.Count)
        {
            if (Vector128.GreaterThanAny(Vector128.Load(scales + i), Vector128.Create(Limit)))
            {
                return true;
            }
        }

        for (; i < count; i++)
        {
            if (scales[i] > Limit)
            {
                return true;
            }
        }

        return false;
    }
}
