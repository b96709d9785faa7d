using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Matmul.Vectors;

/// <summary>
/// The exponential function in float32, by steps that every processor and GPU rounds alike: fused multiply-adds, shifts of bits and no table.
/// Within two units in the last place. The same steps are <c>exp_of</c> of the shaders.
/// </summary>
/// <remarks>
/// Below -87 it is zero, so that no result is subnormal, and above 87 it is e^87. The polynomial is that of Arm's optimized routines.
/// </remarks>
internal static class FloatExp
{
    /// <summary>The magnitude of the largest argument.</summary>
    public const float Limit = 87;

    private const float Log2E = 1.44269502f;
    private const float Shift = 12582912;
    private const float NegativeLn2High = -0.693145752f;
    private const float NegativeLn2Low = -1.42860677e-06f;
    private const float P1 = 0.999999404f;
    private const float P2 = 0.499991268f;
    private const float P3 = 0.166683957f;
    private const float P4 = 0.0418997668f;
    private const float P5 = 0.00824739039f;

    /// <summary>e^x: the specification.</summary>
    public static float Exp(float x)
    {
        if (float.IsNaN(x) || x < -Limit)
        {
            return float.IsNaN(x) ? x : 0;
        }

        x = x > Limit ? Limit : x;
        float shifted = float.FusedMultiplyAdd(x, Log2E, Shift);
        float n = shifted - Shift;
        float b = float.FusedMultiplyAdd(n, NegativeLn2Low, float.FusedMultiplyAdd(n, NegativeLn2High, x));
        float power = BitConverter.Int32BitsToSingle((BitConverter.SingleToInt32Bits(shifted) << 23) + BitConverter.SingleToInt32Bits(1));
        float u = b * b;
        float high = float.FusedMultiplyAdd(float.FusedMultiplyAdd(P5, b, P4), u, float.FusedMultiplyAdd(P3, b, P2));
        return float.FusedMultiplyAdd(float.FusedMultiplyAdd(high, u, P1 * b), power, power);
    }

    /// <summary>e^x of sixteen numbers, with the bits of <see cref="Exp(float)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        Vector512<float> limit = Vector512.Create(Limit), shift = Vector512.Create(Shift);
        Vector512<float> clamped = Vector512.ConditionalSelect(Vector512.GreaterThan(x, limit), limit, x);
        Vector512<float> shifted = Vector512.FusedMultiplyAdd(clamped, Vector512.Create(Log2E), shift);
        Vector512<float> n = shifted - shift;
        Vector512<float> b = Vector512.FusedMultiplyAdd(
            n, Vector512.Create(NegativeLn2Low), Vector512.FusedMultiplyAdd(n, Vector512.Create(NegativeLn2High), clamped));
        Vector512<float> power = (Vector512.ShiftLeft(shifted.AsInt32(), 23) + Vector512.Create(1f).AsInt32()).AsSingle();
        Vector512<float> u = b * b;
        Vector512<float> high = Vector512.FusedMultiplyAdd(
            Vector512.FusedMultiplyAdd(Vector512.Create(P5), b, Vector512.Create(P4)), u,
            Vector512.FusedMultiplyAdd(Vector512.Create(P3), b, Vector512.Create(P2)));
        Vector512<float> result = Vector512.FusedMultiplyAdd(Vector512.FusedMultiplyAdd(high, u, Vector512.Create(P1) * b), power, power);
        result = Vector512.ConditionalSelect(Vector512.LessThan(x, -limit), Vector512<float>.Zero, result);
        return Vector512.ConditionalSelect(Vector512.Equals(x, x), result, x);
    }
}
