using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Blocks;

/// <summary>4-bit floats, E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6, and from code 8 on their negatives.</summary>
internal static class Float4
{
    /// <summary>The largest number.</summary>
    public const float Max = 6;

    /// <summary>What the codes mean.</summary>
    public static ReadOnlySpan<float> Values => [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    /// <summary>Twice the numbers, as integers.</summary>
    public static ReadOnlySpan<sbyte> Doubled => [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// <summary>The nearest number, ties to the even mantissa, as MLX's kernels for GPUs round; each code in the low byte of its lane.</summary>
    /// <param name="values">Finite numbers; from 5 on they are 6.</param>
    /// <returns>The codes, with the signs of the numbers in bit 3.</returns>
    public static Vector512<uint> Encode(Vector512<float> values)
    {
        Vector512<float> x = Vector512.Abs(values);

        // A comparison that holds is -1. Where the number above has the even mantissa, a tie goes up.
        Vector512<uint> below = Vector512.GreaterThan(x, Vector512.Create(0.25f)).AsUInt32()
            + Vector512.GreaterThanOrEqual(x, Vector512.Create(0.75f)).AsUInt32()
            + Vector512.GreaterThan(x, Vector512.Create(1.25f)).AsUInt32()
            + Vector512.GreaterThanOrEqual(x, Vector512.Create(1.75f)).AsUInt32()
            + Vector512.GreaterThan(x, Vector512.Create(2.5f)).AsUInt32()
            + Vector512.GreaterThanOrEqual(x, Vector512.Create(3.5f)).AsUInt32()
            + Vector512.GreaterThan(x, Vector512.Create(5f)).AsUInt32();
        return (Vector512<uint>.Zero - below) | ((values.AsUInt32() >> 28) & Vector512.Create(8u));
    }

    /// <summary>The code whose value comes nearest, the first of several. (ggml <c>best_index_mxfp4</c>.)</summary>
    /// <param name="value">A number.</param>
    /// <param name="halfScale">Half the scale.</param>
    public static byte Nearest(float value, float halfScale)
    {
        ReadOnlySpan<sbyte> doubled = Doubled;
        int best = 0;
        float least = MathF.Abs((doubled[0] * halfScale) - value);
        for (int code = 1; code < 16; code++)
        {
            float error = MathF.Abs((doubled[code] * halfScale) - value);
            if (error < least)
            {
                (best, least) = (code, error);
            }
        }

        return (byte)best;
    }
}
