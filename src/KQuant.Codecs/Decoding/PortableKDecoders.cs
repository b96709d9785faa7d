using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>
/// The K-quants with portable 128-bit vectors. Runs of sixteen codes are put together as bytes and converted; the scales of a block are
/// made the same way beforehand.
/// </summary>
internal static unsafe class PortableKDecoders
{
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q2_K(byte* source, float* destination, nint blocks)
    {
        Scales buffer;
        float* scales = (float*)&buffer, offsets = scales + 16;
        do
        {
            Vector128<byte> packed = Vector128.Load(source);
            float d = Binary16.ToSingle(*(ushort*)(source + 80)) * PortableCodes.Unit;
            float dmin = Binary16.ToSingle(*(ushort*)(source + 82)) * PortableCodes.Unit;
            PortableCodes.Scale16(packed & Vector128.Create((byte)15), d * PortableCodes.Unit, scales);
            PortableCodes.Scale16(packed >>> 4, -dmin, offsets);
            for (nint run = 0; run < 4; run++)
            {
                nint half = run >> 1, odd = run & 1;
                nint sub = (8 * half) + odd;
                float* w = destination + (128 * half) + (16 * odd);
                Vector128<byte> codes = Vector128.Load(source + 16 + (16 * run));
                for (nint plane = 0; plane < 4; plane++, sub += 2, w += 32)
                {
                    PortableCodes.Scale16(codes & Vector128.Create((byte)3), scales[sub], offsets[sub], w);
                    codes >>>= 2;
                }
            }

            source += 84;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q3_K(byte* source, float* destination, nint blocks)
    {
        Scales buffer;
        float* scales = (float*)&buffer;
        do
        {
            float d = Binary16.ToSingle(*(ushort*)(source + 108)) * PortableCodes.Unit;
            PortableCodes.Scale16(SuperBlockScales.UnpackQ3(source + 96).AsByte(), d * PortableCodes.Unit, scales);
            for (nint odd = 0; odd < 2; odd++)
            {
                // A clear third bit takes 4 away.
                Vector128<byte> clear = ~Vector128.Load(source + (16 * odd));
                for (nint half = 0; half < 2; half++)
                {
                    nint sub = (8 * half) + odd;
                    float* w = destination + (128 * half) + (16 * odd);
                    Vector128<byte> codes = Vector128.Load(source + 32 + (32 * half) + (16 * odd));
                    for (nint plane = 0; plane < 4; plane++, sub += 2, w += 32)
                    {
                        Vector128<byte> minus4 = (clear & Vector128<byte>.One) << 2;
                        PortableCodes.Scale16((codes & Vector128.Create((byte)3)) - minus4, scales[sub], w);
                        codes >>>= 2;
                        clear >>>= 1;
                    }
                }
            }

            source += 110;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q4_K(byte* source, float* destination, nint blocks)
    {
        Scales buffer;
        float* scales = (float*)&buffer, offsets = scales + 8;
        do
        {
            UnpackQ4(source, scales);
            for (nint run = 0; run < 8; run++)
            {
                nint sub = run & ~1;
                float* w = destination + (32 * sub) + (16 * (run & 1));
                Vector128<byte> codes = Vector128.Load(source + 16 + (16 * run));
                PortableCodes.Scale16(codes & Vector128.Create((byte)15), scales[sub], offsets[sub], w);
                PortableCodes.Scale16(codes >>> 4, scales[sub + 1], offsets[sub + 1], w + 32);
            }

            source += 144;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q5_K(byte* source, float* destination, nint blocks)
    {
        Scales buffer;
        float* scales = (float*)&buffer, offsets = scales + 8;
        do
        {
            UnpackQ4(source, scales);
            for (nint odd = 0; odd < 2; odd++)
            {
                Vector128<byte> fifthBits = Vector128.Load(source + 16 + (16 * odd));
                float* w = destination + (16 * odd);
                for (nint sub = 0; sub < 8; sub += 2, w += 64)
                {
                    Vector128<byte> codes = Vector128.Load(source + 48 + (16 * (sub + odd)));
                    Vector128<byte> low = (codes & Vector128.Create((byte)15)) | ((fifthBits & Vector128<byte>.One) << 4);
                    Vector128<byte> high = (codes >>> 4) | ((fifthBits & Vector128.Create((byte)2)) << 3);
                    PortableCodes.Scale16(low, scales[sub], offsets[sub], w);
                    PortableCodes.Scale16(high, scales[sub + 1], offsets[sub + 1], w + 32);
                    fifthBits >>>= 2;
                }
            }

            source += 176;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Q6_K(byte* source, float* destination, nint blocks)
    {
        Scales buffer;
        float* scales = (float*)&buffer;
        Vector128<byte> nibble = Vector128.Create((byte)15);
        Vector128<byte> pair = Vector128.Create((byte)0x30);
        do
        {
            float d = Binary16.ToSingle(*(ushort*)(source + 208)) * PortableCodes.Unit;
            PortableCodes.Scale16(Vector128.Load(source + 192), d * PortableCodes.Unit, scales);
            for (nint run = 0; run < 4; run++)
            {
                nint half = run >> 1, odd = run & 1;
                float* scale = scales + (8 * half) + odd;
                float* w = destination + (128 * half) + (16 * odd);
                Vector128<byte> low01 = Vector128.Load(source + (64 * half) + (16 * odd));
                Vector128<byte> low23 = Vector128.Load(source + (64 * half) + (16 * odd) + 32);
                Vector128<byte> high = Vector128.Load(source + 128 + (16 * run));
                Q6Run((low01 & nibble) | ((high << 4) & pair), scale[0], w);
                Q6Run((low23 & nibble) | ((high << 2) & pair), scale[2], w + 32);
                Q6Run((low01 >>> 4) | (high & pair), scale[4], w + 64);
                Q6Run((low23 >>> 4) | ((high >>> 2) & pair), scale[6], w + 96);
            }

            source += 210;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Q6Run(Vector128<byte> codes, float scale, float* w) =>
        PortableCodes.Scale16(codes - Vector128.Create((byte)32), scale, w);

    /// <summary>q4_K, q5_K: the eight scales, in units, and the eight negated minimums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void UnpackQ4(byte* block, float* scales)
    {
        float d = Binary16.ToSingle(*(ushort*)block) * PortableCodes.Unit;
        float dmin = Binary16.ToSingle(*(ushort*)(block + 2)) * PortableCodes.Unit;
        PortableCodes.Scale8x2(SuperBlockScales.UnpackQ4(block + 4), d * PortableCodes.Unit, -dmin, scales);
    }

    /// <summary>Room for sixteen scales and sixteen offsets.</summary>
    [InlineArray(32)]
    private struct Scales
    {
        private float _first;
    }
}
