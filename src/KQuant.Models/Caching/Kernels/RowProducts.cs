using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Matmul.Vectors;

namespace KQuant.Models.Caching.Kernels;

/// <summary>Products of rows with rows, with the bits of <see cref="RowMath.Dot"/>, which specifies them.</summary>
internal static unsafe class RowProducts
{
    private const int Lanes = 16;

    /// <summary>Keys that a query meets at once, each in a vector of its own.</summary>
    private const int KeysAtOnce = 4;

    /// <summary>Multiplies every query with every key.</summary>
    /// <param name="queries">Rows of <paramref name="size"/> values.</param>
    /// <param name="rows">How many.</param>
    /// <param name="keys">Rows of <paramref name="size"/> values.</param>
    /// <param name="count">How many.</param>
    /// <param name="size">Values of a row.</param>
    /// <param name="scores">A row of <paramref name="count"/> products for each query.</param>
    /// <param name="stride">From row to row of them.</param>
    public static void Multiply(float* queries, int rows, float* keys, int count, int size, float* scores, nint stride)
    {
        int whole = size % Lanes == 0 && size <= RowMath.Run ? count / KeysAtOnce * KeysAtOnce : 0;
        for (int row = 0; row < rows; row++)
        {
            float* query = queries + ((nint)row * size);
            float* target = scores + (row * stride);
            for (int key = 0; key < whole; key += KeysAtOnce)
            {
                MultiplyFour(query, keys + ((nint)key * size), size, target + key);
            }

            for (int key = whole; key < count; key++)
            {
                target[key] = RowMath.Dot(new ReadOnlySpan<float>(query, size), new ReadOnlySpan<float>(keys + ((nint)key * size), size));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyFour(float* query, float* keys, int size, float* products)
    {
        Vector512<float> a = default, b = default, c = default, d = default;
        for (int i = 0; i < size; i += Lanes)
        {
            Vector512<float> q = Vector512.Load(query + i);
            a = Vector512.FusedMultiplyAdd(q, Vector512.Load(keys + i), a);
            b = Vector512.FusedMultiplyAdd(q, Vector512.Load(keys + size + i), b);
            c = Vector512.FusedMultiplyAdd(q, Vector512.Load(keys + (2 * (nint)size) + i), c);
            d = Vector512.FusedMultiplyAdd(q, Vector512.Load(keys + (3 * (nint)size) + i), d);
        }

        float* fours = stackalloc float[4 * KeysAtOnce];
        Fold(a).Store(fours);
        Fold(b).Store(fours + 4);
        Fold(c).Store(fours + 8);
        Fold(d).Store(fours + 12);
        for (int key = 0; key < KeysAtOnce; key++)
        {
            float* four = fours + (4 * key);
            products[key] = 0f + (four[0] + four[2] + (four[1] + four[3]));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fold(Vector512<float> sum)
    {
        Vector256<float> eight = sum.GetLower() + sum.GetUpper();
        return eight.GetLower() + eight.GetUpper();
    }
}
