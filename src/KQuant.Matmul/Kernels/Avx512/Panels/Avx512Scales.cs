using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>From columns of packed scales to what a tile multiplies with.</summary>
internal static unsafe class Avx512Scales
{
    private const int Vector = Avx512Columns.Bytes;

    /// <summary>Writes the four unsigned bytes of every lane as 16-bit factors for both halves of a 32-bit lane: four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreTwice(Vector512<uint> bytes, byte* scales)
    {
        Twice(bytes, 0).Store((short*)scales);
        Twice(bytes, 1).Store((short*)(scales + Vector));
        Twice(bytes, 2).Store((short*)(scales + (2 * Vector)));
        Twice(bytes, 3).Store((short*)(scales + (3 * Vector)));
    }

    /// <summary>Writes the four unsigned bytes of every lane as two pairs of 16-bit factors: two vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePairs(Vector512<uint> bytes, byte* mins)
    {
        Avx512BW.Shuffle(bytes.AsByte(), Lanes(0x80018000)).Store(mins);
        Avx512BW.Shuffle(bytes.AsByte(), Lanes(0x80038002)).Store(mins + Vector);
    }

    /// <summary>Writes the four signed bytes of every lane as 16-bit factors for both halves of a 32-bit lane: four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreTwiceSigned(Vector512<uint> bytes, byte* scales)
    {
        (Avx512BW.Shuffle(bytes.AsByte(), HighLanes(0x00800080)).AsInt16() >> 8).Store((short*)scales);
        (Avx512BW.Shuffle(bytes.AsByte(), HighLanes(0x01800180)).AsInt16() >> 8).Store((short*)(scales + Vector));
        (Avx512BW.Shuffle(bytes.AsByte(), HighLanes(0x02800280)).AsInt16() >> 8).Store((short*)(scales + (2 * Vector)));
        (Avx512BW.Shuffle(bytes.AsByte(), HighLanes(0x03800380)).AsInt16() >> 8).Store((short*)(scales + (3 * Vector)));
    }

    /// <summary>Writes the four signed bytes of every lane, shifted to the left, as two pairs of 16-bit factors: two vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePairsSigned(Vector512<uint> bytes, byte shift, byte* mins)
    {
        (Avx512BW.Shuffle(bytes.AsByte(), HighLanes(0x01800080)).AsInt16() >> 8 << shift).Store((short*)mins);
        (Avx512BW.Shuffle(bytes.AsByte(), HighLanes(0x03800280)).AsInt16() >> 8 << shift).Store((short*)(mins + Vector));
    }

    /// <summary>Scale times the sum of the codes of a sub-block.</summary>
    /// <param name="sums">Byte j of a lane is the sum of codes j, j + 4, j + 8 and j + 12, below 256.</param>
    /// <param name="offset">What every code is too large by.</param>
    /// <param name="scale">The sub-block's factors.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Weigh(Vector512<byte> sums, int offset, byte* scale)
    {
        Vector512<short> pairs = Avx512BW.MultiplyAddAdjacent(sums, Vector512.Create((sbyte)1)) - Vector512.Create((short)(8 * offset));
        return Avx512BW.MultiplyAddAdjacent(pairs, Vector512.Load((short*)scale));
    }

    /// <summary>Unsigned byte <paramref name="index"/> of every 32-bit lane, in both halves of the lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Twice(Vector512<uint> bytes, int index) =>
        Avx512BW.Shuffle(bytes.AsByte(), Lanes(0x80008000 + (0x00010001 * (uint)index))).AsInt16();

    /// <summary>Writes the factors of a unit of q4_K or q5_K, whose first four columns are d and dmin and twelve bytes of scales and minima.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreScales12(byte* columns, byte* scales)
    {
        const uint SixBits = 0x3F3F3F3F, FourBits = 0x0F0F0F0F, HighTwo = 0x30303030;
        Vector512<uint> a = Vector512.Load((uint*)(columns + Vector));
        Vector512<uint> b = Vector512.Load((uint*)(columns + (2 * Vector)));
        Vector512<uint> c = Vector512.Load((uint*)(columns + (3 * Vector)));
        StoreTwice(a & Vector512.Create(SixBits), scales);
        StoreTwice((c & Vector512.Create(FourBits)) | ((a >>> 2) & Vector512.Create(HighTwo)), scales + (4 * Vector));
        StorePairs(b & Vector512.Create(SixBits), scales + (8 * Vector));
        StorePairs(((c >>> 4) & Vector512.Create(FourBits)) | ((b >>> 2) & Vector512.Create(HighTwo)), scales + (10 * Vector));
        StorePair(columns, scales + (12 * Vector));
    }

    /// <summary>Writes the two binary16 numbers of every lane as two vectors of floats: d and dmin, or d and m.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePair(byte* column, byte* factors)
    {
        Vector512<uint> halves = Vector512.Load((uint*)column);
        Binary16.ToSingle(halves).Store((float*)factors);
        Binary16.ToSingle(halves >>> 16).Store((float*)(factors + Vector));
    }

    /// <summary>Writes sixteen binary16 numbers as a vector of floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalves(byte* halves, byte* factors) =>
        Binary16.ToSingle(Avx512F.ConvertToVector512UInt32(Vector256.Load((ushort*)halves))).Store((float*)factors);

    /// <summary>A shuffle that puts the same of four bytes into both 16-bit halves of every lane, zero beside it: unsigned 16-bit numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Lanes(uint bytes) => (LaneStarts() + Vector512.Create(bytes)).AsByte();

    /// <summary>The same with the byte on top of the zero: 256 times signed 16-bit numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> HighLanes(uint bytes) => ((LaneStarts() << 8) + Vector512.Create(bytes)).AsByte();

    /// <summary>The first byte of every 32-bit lane, counted within 128-bit parts, in both halves of the lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> LaneStarts()
    {
        const ulong First = 0x00040004_00000000, Second = 0x000C000C_00080008;
        return Vector512.Create(First, Second, First, Second, First, Second, First, Second).AsUInt32();
    }
}
