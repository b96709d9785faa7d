using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>What the row formats with 32-wide blocks share.</summary>
internal static unsafe class Avx512FlatRowTools
{
    /// <summary>Where sixteen consecutive bytes of each of four blocks are: byte 4 i + j of block b goes to byte j of lane 4 i + b.</summary>
    /// <param name="blockBytes">Bytes of a block.</param>
    /// <param name="first">The first of the sixteen in a block.</param>
    public static Vector512<byte> Order(int blockBytes, int first)
    {
        const int EveryByte = 0x01010101;
        Vector512<int> lane = Vector512<int>.Indices;
        Vector512<int> start = ((lane & Vector512.Create(3)) * blockBytes) + (lane & Vector512.Create(12)) + Vector512.Create(first);
        return ((start * EveryByte) + Vector512.Create(0x03020100)).AsByte();
    }

    /// <summary>Where the same four bytes of each block are, for every lane of the block.</summary>
    public static Vector512<byte> WordOrder(int blockBytes, int first) =>
        Order(blockBytes, first) - ((Vector512<int>.Indices & Vector512.Create(12)) * 0x01010101).AsByte();

    /// <summary>Changes an order for a vector and half a vector that ends where the four blocks end, so that nothing behind them is read.</summary>
    public static Vector512<byte> InTwo(Vector512<byte> order, int blockBytes) => order
        + (Vector512.GreaterThan(order, Vector512.Create((byte)63)) & Vector512.Create((byte)(96 - (4 * blockBytes))));

    /// <summary>Picks bytes of four blocks in an order made by <see cref="InTwo"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Gather(byte* blocks, int blockBytes, Vector512<byte> order) =>
        Avx512Vbmi.PermuteVar64x8x2(
            Vector512.Load(blocks), order, Vector256.Load(blocks + (4 * blockBytes) - 32).ToVector512Unsafe());

    /// <summary>Separates nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourBlocks Nibbles(Vector512<byte> packed)
    {
        Vector512<byte> low = Vector512.Create((byte)15);
        return new FourBlocks(packed & low, (packed.AsUInt16() >>> 4).AsByte() & low);
    }

    /// <summary>Puts fifth bits, all 32 of a block in each of its lanes, on top of nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourBlocks AddFifthBits(FourBlocks codes, Vector512<byte> bits)
    {
        // Byte j of lane i takes eight bits of its lane from bit 4 i + j - 4 on, so that bit 4 i + j is its bit 4; or sixteen later.
        const ulong First = 0x1F1E1D1C_3F3E3D3C, Second = First + 0x04040404_04040404 & 0x3F3F3F3F_3F3F3F3F;
        const ulong Third = Second + 0x04040404_04040404, Fourth = Third + 0x04040404_04040404, Later = 0x10101010_10101010;
        Vector512<byte> fifth = Vector512.Create((byte)16);
        Vector512<byte> low = Avx512Vbmi.MultiShift(
            Vector512.Create(First, First, Second, Second, Third, Third, Fourth, Fourth).AsByte(), bits.AsUInt64());
        Vector512<byte> high = Avx512Vbmi.MultiShift(
            Vector512.Create(
                First + Later & 0x3F3F3F3F_3F3F3F3F, First + Later & 0x3F3F3F3F_3F3F3F3F,
                Second + Later, Second + Later, Third + Later, Third + Later, Fourth + Later, Fourth + Later).AsByte(),
            bits.AsUInt64());
        return new FourBlocks(codes.Low | (low & fifth), codes.High | (high & fifth));
    }

    /// <summary>Four scales, each for every fourth lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FourScales(float* scales) => Avx512F.BroadcastVector128ToVector512(scales);

    /// <summary>Adds the products of four blocks of codes below 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(
        Vector512<float> y, in FourBlocks codes, byte* x, Vector512<float> scales, Vector512<short> ones)
    {
        Vector512<short> pairs = Avx512BW.MultiplyAddAdjacent(codes.Low, Vector512.Load((sbyte*)x))
            + Avx512BW.MultiplyAddAdjacent(codes.High, Vector512.Load((sbyte*)x + 64));
        Vector512<int> dot = Avx512BW.MultiplyAddAdjacent(pairs, ones);
        return Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), scales, y);
    }

    /// <summary>Arranges four blocks of an activation row: the codes of <see cref="FourBlocks"/>, and what an offset of the weights adds, negated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Arrange(sbyte* codes, byte* x, int offset)
    {
        for (int block = 0; block < 4; block++, codes += 32, x += 4)
        {
            Vector128<int> low = Vector128.Load((int*)codes), high = Vector128.Load((int*)(codes + 16));
            Scatter(low, (int*)x);
            Scatter(high, (int*)(x + 64));
            if (offset != 0)
            {
                Vector128<byte> one = Vector128.Create((byte)1);
                Vector128<short> pairs = Ssse3.MultiplyAddAdjacent(one, low.AsSByte()) + Ssse3.MultiplyAddAdjacent(one, high.AsSByte());
                Scatter(Sse2.MultiplyAddAdjacent(pairs, Vector128.Create((short)-offset)), (int*)(x + 128));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scatter(Vector128<int> words, int* x)
    {
        x[0] = words.ToScalar();
        x[4] = words.GetElement(1);
        x[8] = words.GetElement(2);
        x[12] = words.GetElement(3);
    }
}
