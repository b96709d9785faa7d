using System.Runtime.CompilerServices;

namespace KQuant.Codecs.Encoders;

/// <summary>The two conversions from float to integer on which the bytes of an encoder depend.</summary>
internal static class Rounding
{
    /// <summary>
    /// Nearest integer, ties to even, by adding 1.5 * 2^23 and reading the mantissa; meant for |value| up to 2^22 - 1. Outside, and for
    /// NaN, the result is the meaningless number that ggml gets too. (ggml <c>nearest_int</c>.)
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int NearestInt(float value) =>
        (BitConverter.SingleToInt32Bits(value + 12582912f) & 0x007F_FFFF) - 0x0040_0000;

    /// <summary><see cref="NearestInt(float)"/>, limited to a range of codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int NearestInt(float value, int low, int high) => Math.Max(low, Math.Min(high, NearestInt(value)));
}
