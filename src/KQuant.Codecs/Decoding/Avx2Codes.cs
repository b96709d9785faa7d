using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// Thirty-two codes as bytes, and their conversion to weights with AVX2. Every group of four bytes of the lower 128 bits, with the group
/// across from it, becomes one vector of eight weights: the lower half holds weights 0-3, 8-11, 16-19, 24-27 and the upper half the rest.
/// </summary>
internal static unsafe class Avx2Codes
{
    /// <summary>
    /// A code is converted at the top of its 32-bit lane, where a signed byte needs no extension; scales make up for the 2^24.
    /// </summary>
    public const float Unit = 1f / (1 << 24);

    /// <summary>Brings 32 bytes into the order of this class.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> LoadOrdered(byte* bytes) =>
        Avx2.PermuteVar8x32(Vector256.Load((uint*)bytes), Vector256.Create(0u, 2, 4, 6, 1, 3, 5, 7));

    /// <summary><c>w = scale * code</c>, the scale in <see cref="Unit"/>s.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale32(Vector256<uint> codes, Vector256<float> scale, float* w) => Scale16x2(codes, scale, scale, w);

    /// <summary><c>w = scale * code + offset</c>, the scale in <see cref="Unit"/>s; rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale32(Vector256<uint> codes, Vector256<float> scale, Vector256<float> offset, float* w) =>
        Scale16x2(codes, scale, offset, scale, offset, w);

    /// <summary><see cref="Scale32(Vector256{uint}, Vector256{float}, float*)"/> with a scale for every 16 weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale16x2(Vector256<uint> codes, Vector256<float> scale0, Vector256<float> scale1, float* w)
    {
        (Convert(codes, 0) * scale0).Store(w);
        (Convert(codes, 1) * scale0).Store(w + 8);
        (Convert(codes, 2) * scale1).Store(w + 16);
        (Convert(codes, 3) * scale1).Store(w + 24);
    }

    /// <summary>
    /// <see cref="Scale32(Vector256{uint}, Vector256{float}, Vector256{float}, float*)"/> with a scale and offset for every 16 weights.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale16x2(
        Vector256<uint> codes,
        Vector256<float> scale0,
        Vector256<float> offset0,
        Vector256<float> scale1,
        Vector256<float> offset1,
        float* w)
    {
        Fma.MultiplyAdd(Convert(codes, 0), scale0, offset0).Store(w);
        Fma.MultiplyAdd(Convert(codes, 1), scale0, offset0).Store(w + 8);
        Fma.MultiplyAdd(Convert(codes, 2), scale1, offset1).Store(w + 16);
        Fma.MultiplyAdd(Convert(codes, 3), scale1, offset1).Store(w + 24);
    }

    /// <summary>Lane <paramref name="lane"/> in all lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Spread(Vector256<float> vector, int lane) => Avx2.PermuteVar8x32(vector, Vector256.Create(lane));

    /// <summary>Moves all lanes down by two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> DropTwo(Vector256<float> vector) => Avx2.Permute4x64(vector.AsDouble(), 0b11_11_10_01).AsSingle();

    /// <summary>Eight codes, times 2^24.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Convert(Vector256<uint> codes, uint group)
    {
        // An index with its top bit set gives zero.
        Vector256<uint> byteOfGroup = Vector256.Create(0u, 1, 2, 3, 0, 1, 2, 3) << 24;
        Vector256<uint> toTop = Vector256.Create(0x0080_8080u + ((4 * group) << 24)) + byteOfGroup;
        return Vector256.ConvertToSingle(Avx2.Shuffle(codes.AsByte(), toTop.AsByte()).AsInt32());
    }
}
