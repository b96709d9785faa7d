using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace KQuant.Codecs.Decoding;

/// <summary>Decoders for NEON: codes as <see cref="INeonCodes"/> unpacks them, converted at the top of 32-bit lanes.</summary>
internal static unsafe class NeonDecoders
{
    /// <summary>A 32-wide codec.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Flat<TCodes>(byte* source, float* destination, nint blocks)
        where TCodes : struct, INeonFlatCodes
    {
        float unit = PortableCodes.Unit / (1 << TCodes.Shift);
        do
        {
            float d = Binary16.ToSingle(*(ushort*)source) * unit;
            TCodes.Unpack(source, out Vector128<sbyte> c0, out Vector128<sbyte> c1);
            if (TCodes.HasMin)
            {
                float m = Binary16.ToSingle(*(ushort*)(source + 2));
                PortableCodes.Scale16(c0.AsByte(), d, m, destination);
                PortableCodes.Scale16(c1.AsByte(), d, m, destination + 16);
            }
            else
            {
                PortableCodes.Scale16(c0.AsByte(), d, destination);
                PortableCodes.Scale16(c1.AsByte(), d, destination + 16);
            }

            source += TCodes.BlockBytes;
            destination += 32;
        }
        while (--blocks != 0);
    }

    /// <summary>A K-quant.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void K<TCodes>(byte* source, float* destination, nint blocks)
        where TCodes : struct, INeonKCodes
    {
        Factors factors;
        float* scales = (float*)&factors, offsets = scales + 16;
        do
        {
            float d = Binary16.ToSingle(*(ushort*)(source + TCodes.ScaleOffset)) * (PortableCodes.Unit / (1 << TCodes.Shift));
            TCodes.Scales(
                source, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh);
            Convert(low, d, scales);
            Convert(high, d, scales + 8);
            if (TCodes.HasMin)
            {
                float dmin = -Binary16.ToSingle(*(ushort*)(source + TCodes.ScaleOffset + 2));
                Convert(minLow, dmin, offsets);
                Convert(minHigh, dmin, offsets + 8);
            }

            TCodes.Unpack(source, 0, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3);
            Quarter<TCodes>(0, c0, c1, c2, c3, scales, destination);
            TCodes.Unpack(source, 1, out c0, out c1, out c2, out c3);
            Quarter<TCodes>(1, c0, c1, c2, c3, scales, destination);
            TCodes.Unpack(source, 2, out c0, out c1, out c2, out c3);
            Quarter<TCodes>(2, c0, c1, c2, c3, scales, destination);
            TCodes.Unpack(source, 3, out c0, out c1, out c2, out c3);
            Quarter<TCodes>(3, c0, c1, c2, c3, scales, destination);
            source += TCodes.BlockBytes;
            destination += 256;
        }
        while (--blocks != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quarter<TCodes>(
        int quarter, Vector128<sbyte> c0, Vector128<sbyte> c1, Vector128<sbyte> c2, Vector128<sbyte> c3, float* scales, float* destination)
        where TCodes : struct, INeonKCodes
    {
        int perScale = TCodes.SubBlock / 16;
        float* scale = scales + (4 / perScale * quarter), w = destination + (64 * quarter);
        Sixteen<TCodes>(c0, scale, w);
        Sixteen<TCodes>(c1, scale + (1 / perScale), w + 16);
        Sixteen<TCodes>(c2, scale + (2 / perScale), w + 32);
        Sixteen<TCodes>(c3, scale + (3 / perScale), w + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Sixteen<TCodes>(Vector128<sbyte> codes, float* scale, float* w)
        where TCodes : struct, INeonKCodes
    {
        if (TCodes.HasMin)
        {
            PortableCodes.Scale16(codes.AsByte(), scale[0], scale[16], w);
        }
        else
        {
            PortableCodes.Scale16(codes.AsByte(), scale[0], w);
        }
    }

    /// <summary>Eight integers times a number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Convert(Vector128<short> integers, float factor, float* products)
    {
        Vector128<float> factors = Vector128.Create(factor);
        (AdvSimd.ConvertToSingle(AdvSimd.SignExtendWideningLower(integers.GetLower())) * factors).Store(products);
        (AdvSimd.ConvertToSingle(AdvSimd.SignExtendWideningUpper(integers)) * factors).Store(products + 4);
    }

    /// <summary>Room for sixteen scales and sixteen offsets.</summary>
    [InlineArray(32)]
    private struct Factors
    {
        private float _first;
    }
}
