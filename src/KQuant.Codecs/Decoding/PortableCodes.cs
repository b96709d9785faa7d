using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>Sixteen codes as bytes, and their conversion to weights with portable 128-bit vectors.</summary>
internal static unsafe class PortableCodes
{
    /// <summary>
    /// A code is converted at the top of its 32-bit lane, where a signed byte needs no extension; scales make up for the 2^24.
    /// </summary>
    public const float Unit = 1f / (1 << 24);

    /// <summary><c>w = scale * code</c>, the scale in <see cref="Unit"/>s.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale16(Vector128<byte> codes, float scale, float* w)
    {
        Vector128<float> factor = Vector128.Create(scale);
        (Convert(codes, 0) * factor).Store(w);
        (Convert(codes, 1) * factor).Store(w + 4);
        (Convert(codes, 2) * factor).Store(w + 8);
        (Convert(codes, 3) * factor).Store(w + 12);
    }

    /// <summary>
    /// <c>w = scale * code + offset</c>, the scale in <see cref="Unit"/>s; the product is exact, so it does not matter if it is rounded.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale16(Vector128<byte> codes, float scale, float offset, float* w)
    {
        Vector128<float> factor = Vector128.Create(scale);
        Vector128<float> addend = Vector128.Create(offset);
        Vector128.MultiplyAddEstimate(Convert(codes, 0), factor, addend).Store(w);
        Vector128.MultiplyAddEstimate(Convert(codes, 1), factor, addend).Store(w + 4);
        Vector128.MultiplyAddEstimate(Convert(codes, 2), factor, addend).Store(w + 8);
        Vector128.MultiplyAddEstimate(Convert(codes, 3), factor, addend).Store(w + 12);
    }

    /// <summary><see cref="Scale16(Vector128{byte}, float, float*)"/> with another scale for the second eight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale8x2(Vector128<byte> codes, float scale0, float scale1, float* w)
    {
        (Convert(codes, 0) * Vector128.Create(scale0)).Store(w);
        (Convert(codes, 1) * Vector128.Create(scale0)).Store(w + 4);
        (Convert(codes, 2) * Vector128.Create(scale1)).Store(w + 8);
        (Convert(codes, 3) * Vector128.Create(scale1)).Store(w + 12);
    }

    /// <summary>Four codes, times 2^24.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Convert(Vector128<byte> codes, uint group)
    {
        // Index 16 and above gives zero.
        Vector128<uint> toTop = Vector128.Create(0x0010_1010u, 0x0110_1010, 0x0210_1010, 0x0310_1010) + Vector128.Create((4 * group) << 24);
        return Vector128.ConvertToSingle(Vector128.Shuffle(codes, toTop.AsByte()).AsInt32());
    }
}
