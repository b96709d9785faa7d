using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// The K-quants with AVX2: codes are put together as bytes, see <see cref="Avx2Codes"/>, and converted. Shifts of bytes are shifts of
/// larger lanes here; what comes in from a neighbour is masked off.
/// </summary>
internal static unsafe class Avx2KDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q2_K(byte* source, float* destination, nint blocks)
    {
        do
        {
            Vector256<float> d = Vector256.Create(Binary16.ToSingle(*(ushort*)(source + 80)) * Avx2Codes.Unit);
            Vector256<float> negatedDMin = Vector256.Create(-Binary16.ToSingle(*(ushort*)(source + 82)));
            for (nint half = 0; half < 2; half++)
            {
                Vector256<int> packed = Avx2.ConvertToVector256Int32(source + (8 * half));
                Vector256<float> scales = d * Vector256.ConvertToSingle(packed & Vector256.Create(15));
                Vector256<float> offsets = negatedDMin * Vector256.ConvertToSingle(packed >>> 4);
                Vector256<uint> codes = Avx2Codes.LoadOrdered(source + 16 + (32 * half));
                float* w = destination + (128 * half);
                Q2Plane(codes, scales, offsets, 0, w);
                Q2Plane(codes >>> 2, scales, offsets, 2, w + 32);
                Q2Plane(codes >>> 4, scales, offsets, 4, w + 64);
                Q2Plane(codes >>> 6, scales, offsets, 6, w + 96);
            }

            source += 84;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q3_K(byte* source, float* destination, nint blocks)
    {
        do
        {
            Vector256<float> d = Vector256.Create(Binary16.ToSingle(*(ushort*)(source + 108)) * Avx2Codes.Unit);
            Vector128<sbyte> packed = SuperBlockScales.UnpackQ3(source + 96);

            // A clear third bit takes 4 away.
            Vector256<uint> clear = ~Avx2Codes.LoadOrdered(source);
            for (nint half = 0; half < 2; half++)
            {
                Vector256<float> scales = d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(packed));
                Vector256<uint> codes = Avx2Codes.LoadOrdered(source + 32 + (32 * half));
                float* w = destination + (128 * half);
                Q3Plane(codes, clear << 2, scales, 0, w);
                Q3Plane(codes >>> 2, clear << 1, scales, 2, w + 32);
                Q3Plane(codes >>> 4, clear, scales, 4, w + 64);
                Q3Plane(codes >>> 6, clear >>> 1, scales, 6, w + 96);
                clear >>>= 4;
                packed = Sse2.ShiftRightLogical128BitLane(packed, 8);
            }

            source += 110;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_K(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> nibble = Vector256.Create(0x0F0F_0F0Fu);
        do
        {
            (Vector256<float> scales, Vector256<float> offsets) = Q4Scales(source);
            for (nint run = 0; run < 4; run++)
            {
                Vector256<uint> codes = Avx2Codes.LoadOrdered(source + 16 + (32 * run));
                float* w = destination + (64 * run);
                Avx2Codes.Scale32(codes & nibble, Avx2Codes.Spread(scales, 0), Avx2Codes.Spread(offsets, 0), w);
                Avx2Codes.Scale32((codes >>> 4) & nibble, Avx2Codes.Spread(scales, 1), Avx2Codes.Spread(offsets, 1), w + 32);
                scales = Avx2Codes.DropTwo(scales);
                offsets = Avx2Codes.DropTwo(offsets);
            }

            source += 144;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_K(byte* source, float* destination, nint blocks)
    {
        Vector256<uint> nibble = Vector256.Create(0x0F0F_0F0Fu);
        Vector256<uint> fifth = Vector256.Create(0x1010_1010u);
        do
        {
            (Vector256<float> scales, Vector256<float> offsets) = Q4Scales(source);
            Vector256<uint> fifthBits = Avx2Codes.LoadOrdered(source + 16);
            for (nint run = 0; run < 4; run++)
            {
                Vector256<uint> codes = Avx2Codes.LoadOrdered(source + 48 + (32 * run));
                Vector256<uint> low = (codes & nibble) | ((fifthBits << 4) & fifth);
                Vector256<uint> high = ((codes >>> 4) & nibble) | ((fifthBits << 3) & fifth);
                float* w = destination + (64 * run);
                Avx2Codes.Scale32(low, Avx2Codes.Spread(scales, 0), Avx2Codes.Spread(offsets, 0), w);
                Avx2Codes.Scale32(high, Avx2Codes.Spread(scales, 1), Avx2Codes.Spread(offsets, 1), w + 32);
                scales = Avx2Codes.DropTwo(scales);
                offsets = Avx2Codes.DropTwo(offsets);
                fifthBits >>>= 2;
            }

            source += 176;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q6_K(byte* source, float* destination, nint blocks)
    {
        do
        {
            // Codes are put into the upper six bits of their bytes.
            Vector256<float> d = Vector256.Create(Binary16.ToSingle(*(ushort*)(source + 208)) * (Avx2Codes.Unit / 4));
            for (nint half = 0; half < 2; half++)
            {
                Vector256<float> scales = d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)source + 192 + (8 * half)));
                Vector256<uint> low01 = Avx2Codes.LoadOrdered(source + (64 * half));
                Vector256<uint> low23 = Avx2Codes.LoadOrdered(source + 32 + (64 * half));

                // Inverting the upper of the two high bits takes 32 away.
                Vector256<uint> high = Avx2Codes.LoadOrdered(source + 128 + (32 * half)) ^ Vector256.Create(0xAAAA_AAAAu);
                float* w = destination + (128 * half);
                Q6Plane(low01 << 2, high << 6, scales, 0, w);
                Q6Plane(low23 << 2, high << 4, scales, 2, w + 32);
                Q6Plane(low01 >>> 2, high << 2, scales, 4, w + 64);
                Q6Plane(low23 >>> 2, high, scales, 6, w + 96);
            }

            source += 210;
            destination += 256;
        }
        while (--blocks != 0);
    }

    /// <summary>q4_K, q5_K: the eight scales, in units, and the eight negated minimums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<float> Scales, Vector256<float> Offsets) Q4Scales(byte* block)
    {
        Vector128<byte> packed = SuperBlockScales.UnpackQ4(block + 4);
        Vector256<int> scales = Avx2.ConvertToVector256Int32(packed);
        Vector256<int> mins = Avx2.ConvertToVector256Int32(Sse2.ShiftRightLogical128BitLane(packed, 8));
        return (
            Vector256.ConvertToSingle(scales) * Vector256.Create(Binary16.ToSingle(*(ushort*)block) * Avx2Codes.Unit),
            Vector256.ConvertToSingle(mins) * Vector256.Create(-Binary16.ToSingle(*(ushort*)(block + 2))));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q2Plane(Vector256<uint> codes, Vector256<float> scales, Vector256<float> offsets, int sub, float* w) =>
        Avx2Codes.Scale16x2(
            codes & Vector256.Create(0x0303_0303u),
            Avx2Codes.Spread(scales, sub),
            Avx2Codes.Spread(offsets, sub),
            Avx2Codes.Spread(scales, sub + 1),
            Avx2Codes.Spread(offsets, sub + 1),
            w);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q3Plane(Vector256<uint> codes, Vector256<uint> clear, Vector256<float> scales, int sub, float* w)
    {
        Vector256<byte> signed = (codes & Vector256.Create(0x0303_0303u)).AsByte() - (clear & Vector256.Create(0x0404_0404u)).AsByte();
        Avx2Codes.Scale16x2(signed.AsUInt32(), Avx2Codes.Spread(scales, sub), Avx2Codes.Spread(scales, sub + 1), w);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q6Plane(Vector256<uint> low, Vector256<uint> high, Vector256<float> scales, int sub, float* w) =>
        Avx2Codes.Scale16x2(
            (low & Vector256.Create(0x3C3C_3C3Cu)) | (high & Vector256.Create(0xC0C0_C0C0u)),
            Avx2Codes.Spread(scales, sub),
            Avx2Codes.Spread(scales, sub + 1),
            w);
}
