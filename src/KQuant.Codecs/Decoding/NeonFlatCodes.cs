using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace KQuant.Codecs.Decoding;

// The 32-wide codecs. Code j of a block is in the low, code j + 16 in the high half of byte j.

internal readonly unsafe struct NeonQ4_0 : INeonFlatCodes
{
    public static QuantFormat Format => QuantFormat.Q4_0;

    public static int BlockBytes => 18;

    // Subtracting 8 is flipping the top bit of a nibble, if the nibble is in the upper half of a byte.
    public static int Shift => 4;

    public static bool HasMin => false;

    public static int MaxCode => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> c0, out Vector128<sbyte> c1)
    {
        Vector128<byte> packed = AdvSimd.LoadVector128(block + 2) ^ Vector128.Create((byte)0x88);
        c0 = AdvSimd.ShiftLeftLogical(packed, 4).AsSByte();
        c1 = (packed & Vector128.Create((byte)0xF0)).AsSByte();
    }
}

internal readonly unsafe struct NeonQ4_1 : INeonFlatCodes
{
    public static QuantFormat Format => QuantFormat.Q4_1;

    public static int BlockBytes => 20;

    public static int Shift => 0;

    public static bool HasMin => true;

    public static int MaxCode => 15;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> c0, out Vector128<sbyte> c1)
    {
        Vector128<byte> packed = AdvSimd.LoadVector128(block + 4);
        c0 = (packed & Vector128.Create((byte)15)).AsSByte();
        c1 = AdvSimd.ShiftRightLogical(packed, 4).AsSByte();
    }
}

internal readonly unsafe struct NeonQ5_0 : INeonFlatCodes
{
    public static QuantFormat Format => QuantFormat.Q5_0;

    public static int BlockBytes => 22;

    public static int Shift => 0;

    public static bool HasMin => false;

    public static int MaxCode => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> c0, out Vector128<sbyte> c1)
    {
        // A clear fifth bit takes 16 away: in two's complement, that is ones above the nibble.
        Vector128<byte> packed = AdvSimd.LoadVector128(block + 6);
        NeonBits.Spread(~*(uint*)(block + 2), out Vector128<byte> low, out Vector128<byte> high);
        c0 = AdvSimd.ShiftLeftAndInsert(packed, low, 4).AsSByte();
        c1 = AdvSimd.ShiftLeftAndInsert(AdvSimd.ShiftRightLogical(packed, 4), high, 4).AsSByte();
    }
}

internal readonly unsafe struct NeonQ5_1 : INeonFlatCodes
{
    public static QuantFormat Format => QuantFormat.Q5_1;

    public static int BlockBytes => 24;

    public static int Shift => 0;

    public static bool HasMin => true;

    public static int MaxCode => 31;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> c0, out Vector128<sbyte> c1)
    {
        // What is above the fifth bit goes together with the nibble's neighbour.
        Vector128<byte> packed = AdvSimd.LoadVector128(block + 8), five = Vector128.Create((byte)31);
        NeonBits.Spread(*(uint*)(block + 4), out Vector128<byte> low, out Vector128<byte> high);
        c0 = (AdvSimd.ShiftLeftAndInsert(packed, low, 4) & five).AsSByte();
        c1 = (AdvSimd.ShiftLeftAndInsert(AdvSimd.ShiftRightLogical(packed, 4), high, 4) & five).AsSByte();
    }
}

internal readonly unsafe struct NeonQ8_0 : INeonFlatCodes
{
    public static QuantFormat Format => QuantFormat.Q8_0;

    public static int BlockBytes => 34;

    public static int Shift => 0;

    public static bool HasMin => false;

    public static int MaxCode => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> c0, out Vector128<sbyte> c1)
    {
        c0 = AdvSimd.LoadVector128((sbyte*)block + 2);
        c1 = AdvSimd.LoadVector128((sbyte*)block + 18);
    }
}
