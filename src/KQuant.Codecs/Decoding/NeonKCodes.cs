using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

#pragma warning disable CA1857 // Operands that must be constants are, once methods are inlined.

namespace KQuant.Codecs.Decoding;

// The K-quants. Whatever depends on the quarter is a constant once a method is inlined.

internal readonly unsafe struct NeonQ2_K : INeonKCodes
{
    public static QuantFormat Format => QuantFormat.Q2_K;

    public static int BlockBytes => 84;

    public static int Shift => 0;

    public static bool HasMin => true;

    public static int SubBlock => 16;

    public static int ScaleOffset => 80;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh)
    {
        Vector128<byte> packed = AdvSimd.LoadVector128(block);
        Vector128<byte> scales = packed & Vector128.Create((byte)15), mins = AdvSimd.ShiftRightLogical(packed, 4);
        low = AdvSimd.ZeroExtendWideningLower(scales.GetLower()).AsInt16();
        high = AdvSimd.ZeroExtendWideningUpper(scales).AsInt16();
        minLow = AdvSimd.ZeroExtendWideningLower(mins.GetLower()).AsInt16();
        minHigh = AdvSimd.ZeroExtendWideningUpper(mins).AsInt16();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, int quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3)
    {
        byte* packed = block + 16 + (32 * (quarter / 2));
        Vector128<byte> a = AdvSimd.LoadVector128(packed), b = AdvSimd.LoadVector128(packed + 16), pair = Vector128.Create((byte)3);
        if (quarter % 2 == 0)
        {
            c0 = (a & pair).AsSByte();
            c1 = (b & pair).AsSByte();
            c2 = (AdvSimd.ShiftRightLogical(a, 2) & pair).AsSByte();
            c3 = (AdvSimd.ShiftRightLogical(b, 2) & pair).AsSByte();
        }
        else
        {
            c0 = (AdvSimd.ShiftRightLogical(a, 4) & pair).AsSByte();
            c1 = (AdvSimd.ShiftRightLogical(b, 4) & pair).AsSByte();
            c2 = AdvSimd.ShiftRightLogical(a, 6).AsSByte();
            c3 = AdvSimd.ShiftRightLogical(b, 6).AsSByte();
        }
    }
}

internal readonly unsafe struct NeonQ3_K : INeonKCodes
{
    public static QuantFormat Format => QuantFormat.Q3_K;

    public static int BlockBytes => 110;

    public static int Shift => 0;

    public static bool HasMin => false;

    public static int SubBlock => 16;

    public static int ScaleOffset => 108;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh)
    {
        Vector128<sbyte> scales = SuperBlockScales.UnpackQ3(block + 96);
        low = AdvSimd.SignExtendWideningLower(scales.GetLower());
        high = AdvSimd.SignExtendWideningUpper(scales);
        minLow = minHigh = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, int quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3)
    {
        byte* packed = block + 32 + (32 * (quarter / 2));
        Vector128<byte> a = AdvSimd.LoadVector128(packed), b = AdvSimd.LoadVector128(packed + 16);
        Vector128<byte> clearA = ~AdvSimd.LoadVector128(block), clearB = ~AdvSimd.LoadVector128(block + 16);

        // A clear third bit takes 4 away: in two's complement, that is ones above the other two.
        int bit = 2 * quarter;
        if (quarter % 2 == 0)
        {
            c0 = Insert(a, clearA, bit);
            c1 = Insert(b, clearB, bit);
            c2 = Insert(AdvSimd.ShiftRightLogical(a, 2), clearA, bit + 1);
            c3 = Insert(AdvSimd.ShiftRightLogical(b, 2), clearB, bit + 1);
        }
        else
        {
            c0 = Insert(AdvSimd.ShiftRightLogical(a, 4), clearA, bit);
            c1 = Insert(AdvSimd.ShiftRightLogical(b, 4), clearB, bit);
            c2 = Insert(AdvSimd.ShiftRightLogical(a, 6), clearA, bit + 1);
            c3 = Insert(AdvSimd.ShiftRightLogical(b, 6), clearB, bit + 1);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Insert(Vector128<byte> pairs, Vector128<byte> clear, int bit) =>
        AdvSimd.ShiftLeftAndInsert(pairs, NeonBits.Test(clear, bit), 2).AsSByte();
}

internal readonly unsafe struct NeonQ4_K : INeonKCodes
{
    public static QuantFormat Format => QuantFormat.Q4_K;

    public static int BlockBytes => 144;

    public static int Shift => 0;

    public static bool HasMin => true;

    public static int SubBlock => 32;

    public static int ScaleOffset => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh)
    {
        Vector128<byte> both = SuperBlockScales.UnpackQ4(block + 4);
        low = AdvSimd.ZeroExtendWideningLower(both.GetLower()).AsInt16();
        minLow = AdvSimd.ZeroExtendWideningUpper(both).AsInt16();
        high = minHigh = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, int quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3)
    {
        byte* packed = block + 16 + (32 * quarter);
        Vector128<byte> a = AdvSimd.LoadVector128(packed), b = AdvSimd.LoadVector128(packed + 16), nibble = Vector128.Create((byte)15);
        c0 = (a & nibble).AsSByte();
        c1 = (b & nibble).AsSByte();
        c2 = AdvSimd.ShiftRightLogical(a, 4).AsSByte();
        c3 = AdvSimd.ShiftRightLogical(b, 4).AsSByte();
    }
}

internal readonly unsafe struct NeonQ5_K : INeonKCodes
{
    public static QuantFormat Format => QuantFormat.Q5_K;

    public static int BlockBytes => 176;

    public static int Shift => 0;

    public static bool HasMin => true;

    public static int SubBlock => 32;

    public static int ScaleOffset => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh) =>
        NeonQ4_K.Scales(block, out low, out high, out minLow, out minHigh);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, int quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3)
    {
        byte* packed = block + 48 + (32 * quarter);
        Vector128<byte> a = AdvSimd.LoadVector128(packed), b = AdvSimd.LoadVector128(packed + 16);
        Vector128<byte> fifthA = AdvSimd.LoadVector128(block + 16), fifthB = AdvSimd.LoadVector128(block + 32);
        c0 = Insert(a, fifthA, 2 * quarter);
        c1 = Insert(b, fifthB, 2 * quarter);
        c2 = Insert(AdvSimd.ShiftRightLogical(a, 4), fifthA, (2 * quarter) + 1);
        c3 = Insert(AdvSimd.ShiftRightLogical(b, 4), fifthB, (2 * quarter) + 1);
    }

    // The insertion overwrites whatever is above the nibble.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Insert(Vector128<byte> nibbles, Vector128<byte> fifthBits, int bit)
    {
        Vector128<byte> shifted = bit == 0 ? fifthBits : AdvSimd.ShiftRightLogical(fifthBits, (byte)bit);
        return AdvSimd.ShiftLeftAndInsert(nibbles, bit == 7 ? shifted : shifted & Vector128<byte>.One, 4).AsSByte();
    }
}

internal readonly unsafe struct NeonQ6_K : INeonKCodes
{
    public static QuantFormat Format => QuantFormat.Q6_K;

    public static int BlockBytes => 210;

    // Subtracting 32 is flipping the top bit of six, if they are the upper ones of a byte.
    public static int Shift => 2;

    public static bool HasMin => false;

    public static int SubBlock => 16;

    public static int ScaleOffset => 208;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(
        byte* block, out Vector128<short> low, out Vector128<short> high, out Vector128<short> minLow, out Vector128<short> minHigh)
    {
        Vector128<sbyte> scales = AdvSimd.LoadVector128((sbyte*)block + 192);
        low = AdvSimd.SignExtendWideningLower(scales.GetLower());
        high = AdvSimd.SignExtendWideningUpper(scales);
        minLow = minHigh = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(
        byte* block, int quarter, out Vector128<sbyte> c0, out Vector128<sbyte> c1, out Vector128<sbyte> c2, out Vector128<sbyte> c3)
    {
        byte* nibbles = block + (64 * (quarter / 2)), pairs = block + 128 + (32 * (quarter / 2));
        Vector128<byte> a = AdvSimd.LoadVector128(nibbles), b = AdvSimd.LoadVector128(nibbles + 16);
        Vector128<byte> c = AdvSimd.LoadVector128(nibbles + 32), d = AdvSimd.LoadVector128(nibbles + 48);
        Vector128<byte> flip = Vector128.Create((byte)0xAA);
        Vector128<byte> highA = AdvSimd.LoadVector128(pairs) ^ flip, highB = AdvSimd.LoadVector128(pairs + 16) ^ flip;

        // The pair of high bits goes to the top; the nibble is inserted below it, over everything else.
        if (quarter % 2 == 0)
        {
            c0 = Insert(AdvSimd.ShiftLeftLogical(highA, 6), AdvSimd.ShiftLeftLogical(a, 4));
            c1 = Insert(AdvSimd.ShiftLeftLogical(highB, 6), AdvSimd.ShiftLeftLogical(b, 4));
            c2 = Insert(AdvSimd.ShiftLeftLogical(highA, 4), AdvSimd.ShiftLeftLogical(c, 4));
            c3 = Insert(AdvSimd.ShiftLeftLogical(highB, 4), AdvSimd.ShiftLeftLogical(d, 4));
        }
        else
        {
            Vector128<byte> high = Vector128.Create((byte)0xF0);
            c0 = Insert(AdvSimd.ShiftLeftLogical(highA, 2), a & high);
            c1 = Insert(AdvSimd.ShiftLeftLogical(highB, 2), b & high);
            c2 = Insert(highA, c & high);
            c3 = Insert(highB, d & high);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Insert(Vector128<byte> top, Vector128<byte> nibbles) =>
        AdvSimd.ShiftRightAndInsert(top, nibbles, 2).AsSByte();
}
