using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Rows.Avx512;

/// <summary>Four unpacked blocks of four- or five-bit codes: codes 0 to 15 of each, and codes 16 to 31.</summary>
internal readonly struct NibbleCodes(Vector512<byte> low, Vector512<byte> high)
{
    public readonly Vector512<byte> Low = low;

    public readonly Vector512<byte> High = high;
}

/// <summary>What the row formats with 32-wide blocks share.</summary>
internal static unsafe class Avx512FlatRowTools
{
    /// <summary>Bytes of four arranged blocks: codes, and if weights have an offset, what it amounts to in every lane.</summary>
    public static int PartBytes(int offset) => offset == 0 ? 128 : 192;

    /// <summary>Four lanes to a block.</summary>
    public static Vector512<int> ScaleOrder => Vector512<int>.Indices >>> 2;

    /// <summary>Where <see cref="Gather"/> finds sixteen bytes of each of four blocks.</summary>
    /// <param name="blockBytes">Bytes of a block.</param>
    /// <param name="first">The first of the sixteen in a block.</param>
    public static Vector512<byte> Order(int blockBytes, int first)
    {
        Vector512<byte> order = (Vector512<byte>.Indices & Vector512.Create((byte)15)) + Vector512.Create((byte)first);
        order += (Vector512.Create(
            Vector256.Create(Vector128<byte>.Zero, Vector128.Create((byte)1)),
            Vector256.Create(Vector128.Create((byte)2), Vector128.Create((byte)3))).AsUInt16() * Vector512.Create((ushort)blockBytes)).AsByte();
        return InTwo(order, blockBytes);
    }

    /// <summary>The same for four bytes of each block, four times over.</summary>
    public static Vector512<byte> HighOrder(int blockBytes, int first)
    {
        Vector512<byte> block = (Vector512<int>.Indices >>> 2).AsByte();
        Vector512<int> order = (block.AsInt32() * (blockBytes * 0x01010101)) + Vector512.Create(0x03020100 + (first * 0x01010101));
        return InTwo(order.AsByte(), blockBytes);
    }

    /// <summary>Picks bytes of four blocks, which are read as two vectors that overlap, so that nothing behind them is read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Gather(byte* blocks, int blockBytes, Vector512<byte> order) =>
        Avx512Vbmi.PermuteVar64x8x2(Vector512.Load(blocks), order, Vector512.Load(blocks + (4 * blockBytes) - 64));

    /// <summary>Separates nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NibbleCodes Nibbles(Vector512<byte> packed)
    {
        Vector512<byte> low = Vector512.Create((byte)15);
        return new NibbleCodes(packed & low, (packed.AsUInt16() >>> 4).AsByte() & low);
    }

    /// <summary>Puts the fifth bits of four blocks, 32 in every 32-bit lane of a block, on top of nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NibbleCodes AddFifthBits(NibbleCodes codes, Vector512<byte> bits)
    {
        // Byte j of a block takes eight bits from bit j - 4 on, so that bit j is its bit 4.
        const ulong Low = 0x03020100_3F3E3D3C, High = 0x0B0A0908_07060504, Later = 0x10101010_10101010;
        Vector512<byte> fifth = Vector512.Create((byte)16);
        Vector512<byte> low = Avx512Vbmi.MultiShift(Vector512.Create(Low, High, Low, High, Low, High, Low, High).AsByte(), bits.AsUInt64());
        Vector512<byte> high = Avx512Vbmi.MultiShift(
            Vector512.Create(Low + Later & 0x3F3F3F3F_3F3F3F3F, High + Later, Low + Later & 0x3F3F3F3F_3F3F3F3F, High + Later, Low + Later & 0x3F3F3F3F_3F3F3F3F, High + Later, Low + Later & 0x3F3F3F3F_3F3F3F3F, High + Later).AsByte(), bits.AsUInt64());
        return new NibbleCodes(codes.Low | (low & fifth), codes.High | (high & fifth));
    }

    /// <summary>Adds the products of four blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(
        Vector512<float> y, in NibbleCodes codes, byte* x, Vector512<float> scales, Vector512<int> lanes, int offset)
    {
        Vector512<short> pairs = Avx512BW.MultiplyAddAdjacent(codes.Low, Vector512.Load((sbyte*)x))
            + Avx512BW.MultiplyAddAdjacent(codes.High, Vector512.Load((sbyte*)x + 64));
        Vector512<int> dot = Avx512BW.MultiplyAddAdjacent(pairs, Vector512.Create((short)1));
        if (offset != 0)
        {
            dot -= Vector512.Load((int*)(x + 128));
        }

        return Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), Avx512F.PermuteVar16x32(scales, lanes), y);
    }

    /// <summary>Arranges four blocks of an activation row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Arrange(sbyte* codes, byte* x, int offset)
    {
        for (int block = 0; block < 4; block++, codes += 32, x += 16)
        {
            Vector128<sbyte> low = Vector128.Load(codes), high = Vector128.Load(codes + 16);
            low.Store((sbyte*)x);
            high.Store((sbyte*)x + 64);
            if (offset != 0)
            {
                Vector128<byte> factor = Vector128.Create((byte)offset);
                Vector128<short> pairs = Ssse3.MultiplyAddAdjacent(factor, low) + Ssse3.MultiplyAddAdjacent(factor, high);
                Sse2.MultiplyAddAdjacent(pairs, Vector128.Create((short)1)).Store((int*)(x + 128));
            }
        }
    }

    // Bytes from 64 on are in the second vector, which ends where the blocks end.
    private static Vector512<byte> InTwo(Vector512<byte> order, int blockBytes) => order
        + (Vector512.GreaterThan(order, Vector512.Create((byte)63)) & Vector512.Create((byte)(128 - (4 * blockBytes))));
}
