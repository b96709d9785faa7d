using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels;

// One struct per K-quant; the code orders are those of the block structs. Where bits lie is asked inside of inner loops, so that all of it
// has to be inlined: the ahead-of-time compiler, which does not see that a loop is hot, would call even the smallest of these methods.

internal readonly unsafe struct LayoutQ2_K : IKLayout
{
    public static QuantFormat Format => QuantFormat.Q2_K;

    public static int BlockBytes => 84;

    public static int SubBlock => 16;

    public static bool HasMin => true;

    public static int Offset => 0;

    public static int LowBits => 2;

    public static int HighBits => 0;

    public static int FactorByte => 80;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowByte(int run) => 16 + (32 * (run / 8)) + (16 * (run % 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int run) => run % 8 / 2 * 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighByte(int run) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighShift(int run) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> scales, out Vector128<sbyte> mins)
    {
        Vector128<byte> packed = Vector128.Load(block), nibble = Vector128.Create((byte)15);
        scales = (packed & nibble).AsSByte();
        mins = ((packed.AsUInt16() >>> 4).AsByte() & nibble).AsSByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<byte> scales, out Vector256<byte> mins)
    {
        Vector256<byte> packed = Avx2.BroadcastVector128ToVector256(block), nibble = Vector256.Create((byte)15);
        scales = packed & nibble;
        mins = (packed.AsUInt16() >>> 4).AsByte() & nibble;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ScaleColumn(byte* columns, int index) => Vector256.Load(columns + (32 * index)) & Vector256.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> MinColumn(byte* columns, int index) =>
        (Vector256.Load((ushort*)(columns + (32 * index))) >>> 4).AsByte() & Vector256.Create((byte)15);
}

internal readonly unsafe struct LayoutQ3_K : IKLayout
{
    public static QuantFormat Format => QuantFormat.Q3_K;

    public static int BlockBytes => 110;

    public static int SubBlock => 16;

    public static bool HasMin => false;

    public static int Offset => 4;

    public static int LowBits => 2;

    public static int HighBits => 1;

    public static int FactorByte => 108;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowByte(int run) => 32 + (32 * (run / 8)) + (16 * (run % 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int run) => run % 8 / 2 * 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighByte(int run) => 16 * (run % 2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighShift(int run) => run / 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> scales, out Vector128<sbyte> mins)
    {
        scales = SuperBlockScales.UnpackQ3(block + 96);
        mins = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<byte> scales, out Vector256<byte> mins)
    {
        // The twelve bytes are the third to the fourteenth, so that nothing behind the block is read.
        Vector256<byte> packed = Avx2.BroadcastVector128ToVector256(block + 94);
        Vector256<ulong> low = Avx2.Shuffle(packed, Vector256.Create(0x09080706_05040302).AsByte()).AsUInt64();
        Vector256<uint> high = Avx2.Shuffle(packed, Vector256.Create(0x0D0C0B0A).AsByte()).AsUInt32();
        low = Avx2.ShiftRightLogicalVariable(low, Vector256.Create(0UL, 4, 0, 4));
        high = Avx2.ShiftRightLogicalVariable(high, Vector256.Create(0u, 2, 4, 6, 0, 2, 4, 6)) & Vector256.Create(0x03030303u);
        scales = ((low.AsByte() & Vector256.Create((byte)15)) | (high << 4).AsByte()) - Vector256.Create((byte)32);
        mins = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ScaleColumn(byte* columns, int index)
    {
        Vector256<ushort> low = Vector256.Load((ushort*)(columns + (8 * (96 + (4 * (index % 2)))))), high = Vector256.Load((ushort*)(columns + (8 * 104)));
        low = index < 2 ? low : low >>> 4;
        high = index switch { 0 => high << 4, 1 => high << 2, 2 => high, _ => high >>> 2 };
        return ((low.AsByte() & Vector256.Create((byte)15)) | (high.AsByte() & Vector256.Create((byte)48))) - Vector256.Create((byte)32);
    }

    public static Vector256<byte> MinColumn(byte* columns, int index) => default;
}

internal readonly unsafe struct LayoutQ4_K : IKLayout
{
    public static QuantFormat Format => QuantFormat.Q4_K;

    public static int BlockBytes => 144;

    public static int SubBlock => 32;

    public static bool HasMin => true;

    public static int Offset => 0;

    public static int LowBits => 4;

    public static int HighBits => 0;

    public static int FactorByte => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowByte(int run) => 16 + (32 * (run / 4)) + (16 * (run % 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int run) => run % 4 / 2 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighByte(int run) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighShift(int run) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> scales, out Vector128<sbyte> mins)
    {
        scales = SuperBlockScales.UnpackQ4(block + 4).AsSByte();
        mins = Vector128.Shuffle(scales.AsInt64(), Vector128.Create(1L)).AsSByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<byte> scales, out Vector256<byte> mins)
    {
        const ulong Low = 0x0B0A0908_03020100, LowMins = 0x0B0A0908_07060504;
        const ulong High = 0x03020100_80808080, HighMins = 0x07060504_80808080;
        Vector256<byte> packed = Avx2.BroadcastVector128ToVector256(block + 4);
        Vector256<uint> low = Avx2.Shuffle(packed, Vector256.Create(Low, LowMins, Low, LowMins).AsByte()).AsUInt32();
        Vector256<ushort> high = Avx2.Shuffle(packed, Vector256.Create(High, HighMins, High, HighMins).AsByte()).AsUInt16() >>> 2;
        low = Avx2.ShiftRightLogicalVariable(low, Vector256.Create(0u, 0, 0, 4, 0, 0, 0, 4));
        scales = (low & Vector256.Create(0x0F0F0F0F_3F3F3F3F).AsUInt32()).AsByte() | (high.AsByte() & Vector256.Create((byte)48));
        mins = scales;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ScaleColumn(byte* columns, int index)
    {
        Vector256<byte> first = Vector256.Load(columns + (8 * 4));
        return index == 0 ? first & Vector256.Create((byte)63) : Last(Vector256.Load((ushort*)(columns + (8 * 12))), first);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> MinColumn(byte* columns, int index)
    {
        Vector256<byte> first = Vector256.Load(columns + (8 * 8));
        return index == 0 ? first & Vector256.Create((byte)63) : Last(Vector256.Load((ushort*)(columns + (8 * 12))) >>> 4, first);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Last(Vector256<ushort> low, Vector256<byte> high) =>
        (low.AsByte() & Vector256.Create((byte)15)) | ((high.AsUInt16() >>> 2).AsByte() & Vector256.Create((byte)48));
}

internal readonly unsafe struct LayoutQ5_K : IKLayout
{
    public static QuantFormat Format => QuantFormat.Q5_K;

    public static int BlockBytes => 176;

    public static int SubBlock => 32;

    public static bool HasMin => true;

    public static int Offset => 0;

    public static int LowBits => 4;

    public static int HighBits => 1;

    public static int FactorByte => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowByte(int run) => 48 + (32 * (run / 4)) + (16 * (run % 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int run) => run % 4 / 2 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighByte(int run) => 16 + (16 * (run % 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighShift(int run) => run / 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> scales, out Vector128<sbyte> mins) =>
        LayoutQ4_K.Unpack(block, out scales, out mins);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<byte> scales, out Vector256<byte> mins) =>
        LayoutQ4_K.Unpack(block, out scales, out mins);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ScaleColumn(byte* columns, int index) => LayoutQ4_K.ScaleColumn(columns, index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> MinColumn(byte* columns, int index) => LayoutQ4_K.MinColumn(columns, index);
}

internal readonly unsafe struct LayoutQ6_K : IKLayout
{
    public static QuantFormat Format => QuantFormat.Q6_K;

    public static int BlockBytes => 210;

    public static int SubBlock => 16;

    public static bool HasMin => false;

    public static int Offset => 32;

    public static int LowBits => 4;

    public static int HighBits => 2;

    public static int FactorByte => 208;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowByte(int run) => (64 * (run / 8)) + (16 * (run % 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int run) => run % 8 / 4 * 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighByte(int run) => 128 + (32 * (run / 8)) + (16 * (run % 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighShift(int run) => run % 8 / 2 * 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector128<sbyte> scales, out Vector128<sbyte> mins)
    {
        scales = Vector128.Load((sbyte*)block + 192);
        mins = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Unpack(byte* block, out Vector256<byte> scales, out Vector256<byte> mins)
    {
        scales = Avx2.BroadcastVector128ToVector256(block + 192);
        mins = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> ScaleColumn(byte* columns, int index) => Vector256.Load(columns + (8 * (192 + (4 * index))));

    public static Vector256<byte> MinColumn(byte* columns, int index) => default;
}
