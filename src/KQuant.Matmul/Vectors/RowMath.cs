using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Vectors;

/// <summary>
/// What a decoder does to rows between its products, with bits that depend on no instruction set: sums have one order, everything else rounds
/// where it is written. The shaders in <c>layers.metal</c> do the same.
/// </summary>
/// <remarks>
/// Sixteen lanes: lane j adds the values j, j + 16, j + 32, ..., products by a fused multiply-add each, and the lanes are added as a tree (j with
/// j ^ 8, ^ 4, ^ 2, ^ 1). Sums of products come in runs of 1024 values, whose sums are added from left to right.
/// <para>
/// Loops are compiled for speed at once: they cannot be compiled in advance, because vectors of this width depend on the processor, and
/// what the runtime compiles quickly at first takes much of the time to the first token.
/// </para>
/// </remarks>
internal static class RowMath
{
    /// <summary>Values of a run.</summary>
    public const int Run = 1024;

    private const int Lanes = 16;

    /// <summary>The sum of all values: sixteen lanes, without runs, so that zeros before and behind change nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Sum(ReadOnlySpan<float> x)
    {
        Vector512<float> sum = default;
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            sum += Load(x, i);
        }

        return SumLanes(i < x.Length ? sum + LoadEnd(x, i) : sum);
    }

    /// <summary>The largest value; NaN if there is one.</summary>
    /// <param name="x">At least one value.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Max(ReadOnlySpan<float> x)
    {
        float largest = x[0];
        int i = 0;
        if (x.Length >= Lanes)
        {
            Vector512<float> most = Load(x, 0);
            for (i = Lanes; i <= x.Length - Lanes; i += Lanes)
            {
                most = Vector512.Max(most, Load(x, i));
            }

            Vector256<float> eight = Vector256.Max(most.GetLower(), most.GetUpper());
            Vector128<float> four = Vector128.Max(eight.GetLower(), eight.GetUpper());
            largest = MathF.Max(MathF.Max(four[0], four[1]), MathF.Max(four[2], four[3]));
        }

        for (; i < x.Length; i++)
        {
            largest = MathF.Max(largest, x[i]);
        }

        return largest;
    }

    /// <summary>Where the largest value is first; where the first NaN is, if there is one.</summary>
    /// <param name="x">At least one value.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int IndexOfMax(ReadOnlySpan<float> x)
    {
        float largest = Max(x);
        bool isNumber = !float.IsNaN(largest);
        Vector512<float> wanted = Vector512.Create(largest);
        int i = 0;
        for (; isNumber && i <= x.Length - Lanes && !Vector512.EqualsAny(Load(x, i), wanted); i += Lanes)
        {
        }

        while (isNumber ? x[i] != largest : !float.IsNaN(x[i]))
        {
            i++;
        }

        return i;
    }

    /// <summary><c>target = x * factor</c>. The target may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(ReadOnlySpan<float> x, float factor, Span<float> target)
    {
        Vector512<float> by = Vector512.Create(factor);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Load(x, i) * by, target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] = x[i] * factor;
        }
    }

    /// <summary><c>target = x / divisor</c>. The target may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Divide(ReadOnlySpan<float> x, float divisor, Span<float> target)
    {
        Vector512<float> by = Vector512.Create(divisor);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Load(x, i) / by, target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] = x[i] / divisor;
        }
    }

    /// <summary><c>target = x - y</c>. The target may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Subtract(ReadOnlySpan<float> x, float y, Span<float> target)
    {
        Vector512<float> by = Vector512.Create(y);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Load(x, i) - by, target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] = x[i] - y;
        }
    }

    /// <summary><c>target += x</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(ReadOnlySpan<float> x, Span<float> target)
    {
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Load(target, i) + Load(x, i), target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] += x[i];
        }
    }

    /// <summary>The sum of <c>e^x</c>, runs of which are added in float64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double SumOfExponentials(ReadOnlySpan<float> x)
    {
        double total = 0;
        int i = 0;
        while (i < x.Length)
        {
            int end = Math.Min(x.Length, i + Run);
            Vector512<float> sum = default;
            for (; i <= end - Lanes; i += Lanes)
            {
                sum += FloatExp.Exp(Load(x, i));
            }

            total += SumLanes(sum);
            for (; i < end; i++)
            {
                total += FloatExp.Exp(x[i]);
            }
        }

        return total;
    }

    /// <summary>The sum of the products of two rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        float total = 0;
        for (int start = 0; start < x.Length; start += Run)
        {
            int end = Math.Min(x.Length, start + Run), i = start;
            Vector512<float> sum = default;
            for (; i <= end - Lanes; i += Lanes)
            {
                sum = Vector512.FusedMultiplyAdd(Load(x, i), Load(y, i), sum);
            }

            total += SumLanes(i < end ? Vector512.FusedMultiplyAdd(LoadEnd(x, i), LoadEnd(y, i), sum) : sum);
        }

        return total;
    }

    /// <summary>What a row is multiplied with to have a root mean square of 1: <c>1 / sqrt(mean(x^2) + e)</c>.</summary>
    public static float InverseRootMeanSquare(ReadOnlySpan<float> x, float epsilon) => 1 / MathF.Sqrt((Dot(x, x) / x.Length) + epsilon);

    /// <summary><c>target = x / sqrt(mean(x^2) + e) * weights</c>. The target may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Normalize(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float epsilon, Span<float> target)
    {
        float inverse = InverseRootMeanSquare(x, epsilon);
        Vector512<float> factor = Vector512.Create(inverse);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Load(x, i) * factor * Load(weights, i), target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] = x[i] * inverse * weights[i];
        }
    }

    /// <summary>Turns scores into <c>e^(score - largest)</c>, the weights of a softmax before the division by their sum.</summary>
    /// <returns>Their sum.</returns>
    public static float Exponentiate(Span<float> scores) => Exponentiate(scores, out _);

    /// <summary>Turns scores into <c>e^(score - largest)</c>, the weights of a softmax before the division by their sum.</summary>
    /// <param name="scores">The scores.</param>
    /// <param name="largest">The largest of them; if that is negative infinity, weights are 0.</param>
    /// <returns>Their sum.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Exponentiate(Span<float> scores, out float largest)
    {
        largest = Max(scores);
        if (float.IsNegativeInfinity(largest))
        {
            scores.Clear();
            return 0;
        }

        Vector512<float> most = Vector512.Create(largest);
        int i = 0;
        for (; i <= scores.Length - Lanes; i += Lanes)
        {
            Store(FloatExp.Exp(Load(scores, i) - most), scores, i);
        }

        for (; i < scores.Length; i++)
        {
            scores[i] = FloatExp.Exp(scores[i] - largest);
        }

        return Sum(scores);
    }

    /// <summary><c>gate = gate / (1 + e^-gate) * up</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GateBySilu(Span<float> gate, ReadOnlySpan<float> up)
    {
        int i = 0;
        for (; i <= gate.Length - Lanes; i += Lanes)
        {
            Vector512<float> g = Load(gate, i);
            Store(g * (Vector512<float>.One / (Vector512<float>.One + FloatExp.Exp(-g))) * Load(up, i), gate, i);
        }

        for (; i < gate.Length; i++)
        {
            gate[i] = gate[i] * (1 / (1 + FloatExp.Exp(-gate[i]))) * up[i];
        }
    }

    /// <summary><c>target += x * factor</c>, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddScaled(ReadOnlySpan<float> x, float factor, Span<float> target)
    {
        Vector512<float> by = Vector512.Create(factor);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Vector512.FusedMultiplyAdd(Load(x, i), by, Load(target, i)), target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] = float.FusedMultiplyAdd(x[i], factor, target[i]);
        }
    }

    /// <summary><c>target = target * factor + x</c>, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ScaleAndAdd(Span<float> target, float factor, ReadOnlySpan<float> x)
    {
        Vector512<float> by = Vector512.Create(factor);
        int i = 0;
        for (; i <= x.Length - Lanes; i += Lanes)
        {
            Store(Vector512.FusedMultiplyAdd(Load(target, i), by, Load(x, i)), target, i);
        }

        for (; i < x.Length; i++)
        {
            target[i] = float.FusedMultiplyAdd(target[i], factor, x[i]);
        }
    }

    private static float SumLanes(Vector512<float> sum)
    {
        Vector256<float> eight = sum.GetLower() + sum.GetUpper();
        Vector128<float> four = eight.GetLower() + eight.GetUpper();
        return four[0] + four[2] + (four[1] + four[3]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load(ReadOnlySpan<float> x, int index) => Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(x), (nuint)index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> value, Span<float> target, int index) =>
        value.StoreUnsafe(ref MemoryMarshal.GetReference(target), (nuint)index);

    // The last values, and zeros.
    private static Vector512<float> LoadEnd(ReadOnlySpan<float> x, int index)
    {
        Span<float> padded = stackalloc float[Lanes];
        padded.Clear();
        x[index..Math.Min(x.Length, index + Lanes)].CopyTo(padded);
        return Load(padded, 0);
    }
}
